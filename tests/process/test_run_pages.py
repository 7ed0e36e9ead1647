"""`GET /scheduler/runs/<id>` and its event stream, as an application serves them."""

import contextlib
import http.client
import importlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask, abort
from flask.json.provider import DefaultJSONProvider
from flask.testing import FlaskClient

from scheduler.flask import Scheduler, events
from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.postgres import a_schema_of_its_own
from tests.support.web import Gunicorn, gunicorn

_SITE = """
import os, threading
from flask import Flask
from scheduler.flask import Scheduler, background, current_occurrence

app = Flask("site")
scheduler = Scheduler(app, app="site", events=True)
folder = os.path.dirname(os.path.abspath(__file__))

@background
def work():
    current_occurrence().progress(0.25, "a quarter")
    while not os.path.exists(os.path.join(folder, "go")):
        threading.Event().wait(0.01)
    return "done\\n"

@app.post("/work")
def begin():
    return work.submit().id
"""
_HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(params=["sqlite", "postgresql"])
def running(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DaemonProcess]:
    """A daemon on a ledger of each kind, for which this process is a web worker."""
    (tmp_path / "run_site.py").write_text(_SITE)
    jobs = json.dumps({"version": 1, "timezone": "UTC", "apps": {"site": {"app": "run_site:app"}}})
    monkeypatch.syspath_prepend(tmp_path)
    with contextlib.ExitStack() as stack:
        ledger = stack.enter_context(a_schema_of_its_own()) if request.param == "postgresql" else None
        process = stack.enter_context(daemon(tmp_path, jobs, ledger=ledger))
        monkeypatch.setenv("TMINUS_LEDGER", process.ledger)
        yield process


@pytest.fixture
def site(running: DaemonProcess) -> Iterator[Any]:
    """The application, imported here."""
    yield importlib.import_module("run_site")
    del sys.modules["run_site"]


@contextlib.contextmanager
def served(running: DaemonProcess, *options: str, threads: int) -> Iterator[Gunicorn]:
    """The application behind one worker, so that what a stream keeps is kept from all."""
    env = {"TMINUS_LEDGER": running.ledger}
    with gunicorn(running.folder, "run_site:app", *options, workers=1, threads=threads, env=env) as server:
        yield server


class Stream:
    """An event stream, as it comes in."""

    def __init__(self, server: Gunicorn, run: str, had: str = "") -> None:
        self._connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
        self._connection.request("GET", f"/scheduler/runs/{run}/events", headers={"Last-Event-ID": had})
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
    """An answer within five seconds."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=5)
    connection.request(method, path)
    answer = connection.getresponse().read().decode()
    connection.close()
    return answer


def processing(server: Gunicorn) -> str:
    """A run that has said how far it is."""
    run = begin(server)
    eventually(lambda: json.loads(ask(server, f"/scheduler/runs/{run}"))["progress"] == 0.25)
    return run


def test_a_stream_has_each_change_once_ends_with_the_run_and_says_that_there_is_no_more(running: DaemonProcess) -> None:
    with served(running, threads=4) as server:
        run = processing(server)
        stream = Stream(server, run)
        assert stream.response.getheader("Content-Type") == "text/event-stream; charset=utf-8"
        had, said = stream.next()
        assert (said["id"], said["state"], said["progress_text"]) == (run, "processing", "a quarter")
        again = Stream(server, run, had=had)
        (running.folder / "go").touch()
        rest = list(stream.events())
        assert [(one["state"], one["result"]) for _, one in rest] == [("completed", "done\n")]
        assert list(again.events()) == rest
        assert Stream(server, run, had=rest[0][0]).response.status == 204


def test_streams_that_wait_hold_no_connection_and_no_transaction(running: DaemonProcess) -> None:
    with served(running, threads=24) as server:
        run = processing(server)
        streams = [Stream(server, run) for _ in range(20)]  # more than the ledger's pool has connections
        for stream in streams:
            stream.next()
        assert json.loads(ask(server, f"/scheduler/runs/{run}"))["state"] == "processing"
        (running.folder / "go").touch()
        assert {one["state"] for stream in streams for _, one in stream.events()} == {"completed"}


@pytest.mark.parametrize("running", ["sqlite"], indirect=True)
def test_a_stream_whose_reader_has_gone_gives_its_thread_back(running: DaemonProcess) -> None:
    with served(running, threads=2) as server:
        run = processing(server)
        streams = [Stream(server, run) for _ in range(2)]
        for stream in streams:
            stream.next()
            stream.close()
        assert json.loads(ask(server, f"/scheduler/runs/{run}"))["state"] == "processing"


@pytest.mark.parametrize("running", ["sqlite"], indirect=True)
@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["", "preloaded"])
def test_a_server_that_stops_does_not_wait_for_streams(running: DaemonProcess, options: tuple[str, ...]) -> None:
    with served(running, *options, threads=4) as server:
        stream = Stream(server, processing(server))
        stream.next()
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 10
        assert list(stream.events()) == []


@pytest.mark.parametrize("running", ["sqlite"], indirect=True)
def test_a_stream_ends_after_its_time_and_says_when_to_come_again(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_LASTS_NS", 10**9)
    run = site.work.submit()
    text = site.app.test_client().get(f"/scheduler/runs/{run.id}/events").get_data(as_text=True)
    assert text.startswith("retry: 1000\n\nid: ")
    assert text.endswith("\n\n:\n\n")


@pytest.mark.parametrize("running", ["sqlite"], indirect=True)
def test_without_events_there_is_no_stream_and_with_them_it_is_for_those_only_who_may_see_the_run(site: Any) -> None:
    run = site.work.submit()
    plain, closed = Flask("plain"), Flask("closed")
    Scheduler(plain, app="site")
    Scheduler(closed, app="site", events=True, authorize=lambda id: id != run.id)
    assert "scheduler.run_events" not in plain.view_functions
    assert "scheduler.run_events" in closed.view_functions
    for app in (plain, closed):
        assert app.test_client().get(f"/scheduler/runs/{run.id}/events").status_code == 404
    assert closed.test_client().get(f"/scheduler/runs/{run.id}").status_code == 404
    assert site.app.test_client().get(f"/scheduler/runs/{'0' * 32}/events").status_code == 404


@pytest.mark.parametrize("path", ["%00", "a%00b", "%ff", "x" * 5000, "..%2f"])
def test_an_id_that_is_none_is_not_found(site: Any, path: str) -> None:
    assert site.app.test_client().get(f"/scheduler/runs/{path}").status_code == 404


@pytest.mark.parametrize("running", ["sqlite"], indirect=True)
@pytest.mark.parametrize("headers", [{}, _HTML], ids=["json", "html"])
def test_who_asks_again_gets_304_with_all_that_tells_when_to_ask_again(site: Any, headers: dict[str, str]) -> None:
    url = f"/scheduler/runs/{site.work.submit(delay='1h').id}"
    client: FlaskClient = site.app.test_client()
    first = client.get(url, headers=headers)
    again = client.get(url, headers=headers | {"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    for name in ("ETag", "Retry-After", "Cache-Control", "Vary"):
        assert again.headers[name] == first.headers[name]
    assert (first.headers["Retry-After"], first.headers["Cache-Control"]) == ("1", "private, no-cache")
    head = client.head(url, headers=headers)
    assert (head.status_code, head.data, head.headers["ETag"]) == (200, b"", first.headers["ETag"])


@pytest.mark.parametrize("running", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/html,*/*;q=0.8", "text/html"),
        ("text/html;q=0.5,application/json", "application/json"),
        ("image/png", "application/json"),
    ],
)
def test_who_asks_for_html_gets_a_page_and_everybody_else_json(site: Any, accept: str | None, kind: str) -> None:
    url = f"/scheduler/runs/{site.work.submit(delay='1h').id}"
    answer = site.app.test_client().get(url, headers={"Accept": accept} if accept else {})
    assert answer.mimetype == kind
    assert "Accept" in answer.headers["Vary"]


@pytest.mark.parametrize("running", ["sqlite"], indirect=True)
def test_below_a_prefix_its_links_lead_there(site: Any) -> None:
    url = f"/scheduler/runs/{site.work.submit(delay='1h').id}"
    page = site.app.test_client().get(url, headers=_HTML, base_url="http://localhost/shop")
    assert f'href="/shop{url}"' in page.get_data(as_text=True)


@pytest.mark.parametrize("running", ["sqlite"], indirect=True)
def test_an_authorize_that_raises_shows_nothing_and_its_answer_is_that_of_the_application(site: Any) -> None:
    run = site.work.submit()

    def authorize(id: str) -> bool:
        return abort(403)

    app = Flask("guarded")
    Scheduler(app, app="site", authorize=authorize)
    answer = app.test_client().get(f"/scheduler/runs/{run.id}")
    assert (answer.status_code, run.id in answer.get_data(as_text=True)) == (403, False)


@pytest.mark.parametrize("running", ["sqlite"], indirect=True)
def test_the_applications_own_json_does_not_change_the_shape(site: Any) -> None:
    class Wrapped(DefaultJSONProvider):
        def dumps(self, obj: Any, **kwargs: Any) -> str:
            return super().dumps({"data": obj}, **kwargs)

    site.app.json = Wrapped(site.app)
    run = site.work.submit(delay="1h")
    said = json.loads(site.app.test_client().get(f"/scheduler/runs/{run.id}").data)
    assert list(said) == ["id", "state", "progress", "progress_text", "result", "error", "attempts"]
