"""
The example `votes`: four workers, fifty voters at once, one poll; and beside it a global, which is four.
"""

import importlib
import json
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.moments import PATIENCE_S
from tests.support.web import Gunicorn, example, gunicorn

pytestmark = pytest.mark.long

VOTERS = 50


class Browser:
    """It follows redirects, and keeps its cookies."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def post(self, path: str) -> int:
        """Push a button; the status."""
        try:
            with self._opener.open(f"{self._url}{path}", data=b"", timeout=PATIENCE_S) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def tally(self, prefix: str = "") -> dict[str, Any]:
        """How it stands, and who says so."""
        with self._opener.open(f"{self._url}{prefix}/tally", timeout=PATIENCE_S) as answer:
            said: dict[str, Any] = json.load(answer)
            return said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the example."""
    return example("votes", tmp_path)


@pytest.fixture
def running(folder: Path) -> Iterator[DaemonProcess]:
    """Its daemon."""
    with daemon(folder, (folder / "jobs.yaml").read_text()) as process:
        yield process


@pytest.fixture
def server(folder: Path, running: DaemonProcess) -> Iterator[Gunicorn]:
    """Its four workers."""
    with gunicorn(folder, "votes:app", env={"TMINUS_LEDGER": running.ledger}) as process:
        yield process


def of_each_worker(server: Gunicorn, prefix: str = "") -> dict[int, dict[str, Any]]:
    """What each of the four says."""
    found: dict[int, dict[str, Any]] = {}

    def ask(_number: int) -> None:
        said = Browser(server.url).tally(prefix)
        found[said.pop("worker")] = said

    with ThreadPoolExecutor(16) as pool:
        eventually(lambda: list(pool.map(ask, range(16))) and len(found) == 4, what="all four have answered")
    return found


def at_once(steps: list[tuple[Browser, str]]) -> list[int]:
    """All of them push at the same moment; the statuses."""
    together = threading.Barrier(len(steps))

    def push(step: tuple[Browser, str]) -> int:
        together.wait()
        return step[0].post(step[1])

    with ThreadPoolExecutor(len(steps)) as pool:
        return list(pool.map(push, steps))


def test_fifty_voters_at_once_in_four_workers_are_fifty_votes(
    server: Gunicorn, running: DaemonProcess, folder: Path
) -> None:
    voters = [Browser(server.url) for _ in range(VOTERS)]
    assert voters[0].post("/vote/yes") == 409
    assert voters[0].post("/start") == 200
    assert set(
        at_once([(voter, f"/vote/{'yes' if n < 30 else 'no'}") for n, voter in enumerate(voters)])
    ) == {200}
    assert list(of_each_worker(server).values()) == [{"open": True, "yes": 30, "no": 20}] * 4

    corrected = at_once(
        [(voter, "/correct/no") for voter in voters[:10]]
        + [(voter, "/correct/nothing") for voter in voters[40:]]
        + [(voter, "/vote/yes") for voter in voters[10:20]]  # who has voted
    )
    assert corrected == [200] * 20 + [409] * 10
    assert running.json("run-now", "close_poll")[0]["outcome"] == "succeeded"
    assert voters[49].post("/vote/yes") == 409
    assert list(of_each_worker(server).values()) == [{"open": False, "yes": 20, "no": 20}] * 4
    written = eventually(lambda: (folder / "tally.json").exists() and (folder / "tally.json").read_text())
    assert json.loads(written) == {"open": False, "yes": 20, "no": 20}


def test_a_global_is_four_polls_of_which_one_was_started(server: Gunicorn) -> None:
    assert Browser(server.url).post("/plain/start") == 200
    statuses: list[int] = []

    def have_all_voted() -> bool:
        statuses.extend(at_once([(Browser(server.url), "/plain/vote/yes") for _ in range(VOTERS)]))
        return {200, 409} <= set(statuses)

    eventually(have_all_voted, what="votes have come to the worker that was started, and to another one")
    polls = of_each_worker(server, "/plain")
    assert [poll["open"] for poll in polls.values()].count(True) == 1
    assert sum(poll["yes"] for poll in polls.values()) < len(statuses)
    assert len({poll["yes"] for poll in polls.values()}) > 1


def test_two_threads_that_count_in_a_global_at_once_count_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.syspath_prepend(folder)
    request.addfinalizer(lambda: sys.modules.pop("votes", None))
    plain = importlib.import_module("votes").Global()
    both_have_read = threading.Barrier(2)

    class Slow(dict[str, int]):
        def get(self, name: str, default: Any = None) -> Any:
            found = super().get(name, default)
            both_have_read.wait(PATIENCE_S)
            return found

    plain.values = Slow()
    with ThreadPoolExecutor(2) as voters:
        assert list(voters.map(lambda _: plain.incr("yes"), range(2))) == [1, 1]
