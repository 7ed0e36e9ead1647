"""The event stream of a run, as a web server with threads serves it."""

import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.apps import install
from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.moments import PATIENCE_S
from tests.support.postgres import a_schema_of_its_own
from tests.support.web import Gunicorn, gunicorn

#: The site, as the only application of a daemon.
_JOBS = json.dumps({"version": 1, "timezone": "UTC", "apps": {"site": {"app": "run_site:app"}}})


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon that does the work of the site, for all tests."""
    with daemon(install("run_events", tmp_path_factory.mktemp("site")), _JOBS) as process:
        yield process
        (process.folder / "go").touch()


@pytest.fixture
def running(on_sqlite: DaemonProcess) -> DaemonProcess:
    """The same; its runs go on until the test says `go`."""
    (on_sqlite.folder / "go").unlink(missing_ok=True)
    return on_sqlite


@pytest.fixture
def on_postgresql(tmp_path: Path) -> Iterator[DaemonProcess]:
    """The same on another ledger."""
    with (
        a_schema_of_its_own() as ledger,
        daemon(install("run_events", tmp_path), _JOBS, ledger=ledger) as process,
    ):
        yield process


@contextlib.contextmanager
def served(running: DaemonProcess, *options: str, threads: int) -> Iterator[Gunicorn]:
    """The application behind one worker, so that what a stream keeps is kept from all."""
    env = {"TMINUS_LEDGER": running.ledger}
    with gunicorn(running.folder, "run_site:app", *options, workers=1, threads=threads, env=env) as server:
        yield server


#: A stream ends by itself after 30 s: whatever waits for that takes longer than this.
_BEFORE_ITS_END_S = 25


class Stream(contextlib.closing["Stream"]):
    """An event stream, as it comes in."""

    def __init__(self, server: Gunicorn, run: str, had: str = "") -> None:
        super().__init__(self)
        self._connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=PATIENCE_S)
        self._connection.request("GET", f"/tminus/runs/{run}/events", headers={"Last-Event-ID": had})
        self.response = self._connection.getresponse()

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The id and the data of each."""
        event: dict[str, str] = {}
        for line in self.response:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                event[name] = value
            elif "data" in event:
                yield event["id"], json.loads(event["data"])
                event = {}

    def next(self) -> tuple[str, dict[str, Any]]:
        """The next one."""
        return next(self.events())

    def close(self) -> None:
        """Go away."""
        self.response.close()
        self._connection.close()


def begin(server: Gunicorn) -> str:
    """A run that goes on until it may end."""
    return ask(server, "/work", method="POST")


def ask(server: Gunicorn, path: str, method: str = "GET") -> str:
    """Return a response that comes before a stream would end by itself."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=_BEFORE_ITS_END_S)
    connection.request(method, path)
    answer = connection.getresponse().read().decode()
    connection.close()
    return answer


def processing(server: Gunicorn) -> str:
    """A run that has said how far it is."""
    run = begin(server)
    eventually(lambda: json.loads(ask(server, f"/tminus/runs/{run}"))["progress"] == 0.25)
    return run


def test_a_stream_sends_each_change_once_and_ends_with_the_run(
    running: DaemonProcess,
) -> None:
    with served(running, threads=4) as server:
        run = processing(server)
        with Stream(server, run) as stream:
            assert stream.response.getheader("Content-Type") == "text/event-stream; charset=utf-8"
            had, said = stream.next()
            assert (said["id"], said["state"], said["progress_text"]) == (run, "processing", "a quarter")
            with Stream(server, run, had=had) as again:
                (running.folder / "go").touch()
                rest = list(stream.events())
                assert [(one["state"], one["result"]) for _, one in rest] == [("completed", "done\n")]
                assert list(again.events()) == rest
        with Stream(server, run, had=rest[0][0]) as no_more:
            assert no_more.response.status == 204


@pytest.mark.parametrize("ledger_of", ["running", "on_postgresql"])
def test_streams_that_wait_hold_no_connection_and_no_transaction(
    request: pytest.FixtureRequest, ledger_of: str
) -> None:
    running: DaemonProcess = request.getfixturevalue(ledger_of)
    with served(running, threads=24) as server, contextlib.ExitStack() as stack:
        run = processing(server)
        # More than the ledger's pool has connections.
        streams = [stack.enter_context(Stream(server, run)) for _ in range(20)]
        for stream in streams:
            stream.next()
        assert json.loads(ask(server, f"/tminus/runs/{run}"))["state"] == "processing"
        (running.folder / "go").touch()
        assert {one["state"] for stream in streams for _, one in stream.events()} == {"completed"}


def test_a_stream_whose_reader_has_gone_gives_its_thread_back(running: DaemonProcess) -> None:
    with served(running, threads=2) as server:
        run = processing(server)
        with Stream(server, run) as one, Stream(server, run) as other:
            one.next()
            other.next()
        assert json.loads(ask(server, f"/tminus/runs/{run}"))["state"] == "processing"


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["", "preloaded"])
def test_a_server_that_stops_does_not_wait_for_streams(
    running: DaemonProcess, options: tuple[str, ...]
) -> None:
    with served(running, *options, threads=4) as server, Stream(server, processing(server)) as stream:
        stream.next()
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < _BEFORE_ITS_END_S
        assert list(stream.events()) == []
