"""Counters, locks and flags of `scheduler.state`, for views and for jobs."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from flask import Flask

from tminus.flask import Scheduler, background

app = Flask("shop")
folder = Path(__file__).parent
scheduler = Scheduler(app, app="shop")
state = scheduler.state


def count(times: int = 1) -> list[int]:
    return [state.incr("votes") for _ in range(times)]


def count_by_hand(times: int) -> None:
    for _ in range(times):
        with state.lock("votes", timeout="4m"):
            state.set("by hand", state.get("by hand", 0) + 1)


def hold(name: str, dies: bool = False) -> None:
    """Hold a lock until the test says `go`."""
    with state.lock("poll"):
        state.set("holder", [name, os.getpid()])
        while not (folder / "go").exists():
            time.sleep(0.01)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)


def wrong() -> str | None:
    state.set("flag", True)
    try:
        state.incr("flag")
    except Exception as error:  # noqa: BLE001  its class is what is asked for
        return f"{type(error).__name__}: {error}"
    return None


def too_late() -> str | None:
    try:
        with state.lock("poll", timeout=0.1):
            return None
    except TimeoutError as error:
        return str(error)


def in_a_fork() -> str:
    """Return the error that a forked process gets."""
    said = folder / "said"
    if (child := os.fork()) == 0:
        try:
            state.incr("votes")
        except Exception as error:  # noqa: BLE001  as above
            said.write_text(str(error))
        os._exit(0)
    os.waitpid(child, 0)
    return said.read_text()


@background
def look(word: str) -> str:
    return word


def hands_over() -> str:
    return look.submit("shoes").id


@app.post("/count")
def count_view() -> dict[str, Any]:
    return {"number": state.incr("votes")}


@app.post("/hold/<name>")
def hold_view(name: str) -> dict[str, Any]:
    hold(name)
    return {}
