"""Background runs that end their process: those beside them are called again one by one, and only the guilty run pays."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scheduler.flask import handover
from tests.support.daemon import daemon, eventually
from tests.support.web_worker import web_worker

_SHOP = """
import ctypes, os, pathlib, threading
from flask import Flask
from scheduler.flask import Scheduler, background

folder = pathlib.Path(__file__).parent
app = Flask("shop")
scheduler = Scheduler(app, app="shop")
there = threading.Event()

def note(words):
    descriptor = os.open(folder / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{words}\\n".encode())
    os.close(descriptor)

def wait_for(count):
    while len((folder / "notes").read_text().split()) < count:
        threading.Event().wait(0.01)

class Sessions(type(app.session_interface)):
    def open_session(self, app, request):
        if request.path == "/exits":
            os._exit(3)
        return super().open_session(app, request)

if "TMINUS_APP" in os.environ:
    app.session_interface = Sessions()

@background
def well():
    return "done"

@app.get("/exits")
def exits():
    return {"id": well.submit().id}

@background
def innocent(beside):
    is_first = not (folder / "dead").exists()
    note("innocent")
    if is_first:
        threading.Event().wait()  # for the end of its process
    return "done"

@background
def crashes(beside):
    note("crashes")
    wait_for(beside)
    (folder / "dead").touch()
    ctypes.string_at(0)

@background
def hangs(beside):
    note("hangs")
    wait_for(beside)
    while not (folder / "go").exists():
        threading.Event().wait(0.01)

@background
def imports(module):
    return "imported"
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The application as a web worker has it."""
    with web_worker(tmp_path, _SHOP, monkeypatch) as module:
        yield module


def jobs_file() -> str:
    return json.dumps({"version": 1, "timezone": "UTC", "apps": {"shop": {"app": "shop:app"}}})


def ended(handles: list[Any]) -> list[tuple[str | None, int]]:
    """Outcome and attempts of each, when all have ended."""
    eventually(lambda: all(run.standing().outcome for run in handles), what="all have ended")
    return [(run.standing().outcome, run.standing().attempts) for run in handles]


def test_one_that_crashes_is_unknown_after_three_calls_and_the_ten_beside_it_succeed(shop: Any, tmp_path: Path) -> None:
    with daemon(tmp_path, jobs_file()) as running:
        running.stop()
        innocent = [shop.innocent.submit(11) for _ in range(10)]
        poison = shop.crashes.submit(11)
        running.start()
        assert ended(innocent) == [("succeeded", 2)] * 10
        assert ended([poison]) == [("unknown", 3)]
    assert (tmp_path / "notes").read_text().split().count("crashes") == 3


def test_two_that_crash_beside_one_that_hangs_cost_neither_it_nor_the_others_anything(shop: Any, tmp_path: Path) -> None:
    with daemon(tmp_path, jobs_file()) as running:
        running.stop()
        innocent = [shop.innocent.submit(8) for _ in range(5)]
        poison = [shop.crashes.submit(8) for _ in range(2)]
        hanging = shop.hangs.submit(8)
        running.start()
        assert ended(innocent) == [("succeeded", 2)] * 5
        assert ended(poison) == [("unknown", 3)] * 2
        late = shop.innocent.submit(8)
        assert ended([late]) == [("succeeded", 1)]
        (tmp_path / "go").touch()
        assert ended([hanging]) == [("succeeded", 2)]


def test_a_kill_of_the_daemon_counts_against_nobody_and_a_suspect_stays_one(shop: Any, tmp_path: Path) -> None:
    with daemon(tmp_path, jobs_file()) as running:
        running.stop()
        hanging, poison = shop.hangs.submit(2), shop.crashes.submit(2)
        running.start()
        assert ended([poison]) == [("unknown", 3)]
        for attempt in range(2, 6):
            eventually(lambda attempt=attempt: (tmp_path / "notes").read_text().split().count("hangs") == attempt)  # type: ignore[misc]
            running.kill()
            running.start()
        (tmp_path / "go").touch()
        assert ended([hanging]) == [("succeeded", 6)]


def test_one_that_ends_its_process_before_it_is_entered_fails_and_those_beside_it_succeed(shop: Any, tmp_path: Path) -> None:
    with daemon(tmp_path, jobs_file()) as running:
        running.stop()
        poison = handover.Run(shop.app.test_client().get("/exits").get_json()["id"], "")
        innocent = [shop.well.submit() for _ in range(5)]
        running.start()
        assert {outcome for outcome, _ in ended(innocent)} == {"succeeded"}
        assert ended([poison]) == [("failed", 0)]
        assert poison.standing().reason == "definition, not sent: the executor process died while it was prepared (exit status 3)"
