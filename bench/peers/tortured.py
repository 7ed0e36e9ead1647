"""
The application of the fault rounds. Each function first writes a line to a file, which is the witness of its
start.

`TORTURE_FOLDER` contains that file, `notes`, and a folder of flags. A flag makes the next call of a function
misbehave, once.
"""

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from flask import Flask

from tminus.flask import Scheduler, background, current_occurrence

_FOLDER = Path(os.environ["TORTURE_FOLDER"])
#: How long a misbehaving function blocks.
_BLOCKS_S = 3
_pools: list[ProcessPoolExecutor] = []

app = Flask("tortured")
scheduler = Scheduler(app, app="tortured")


def note(what: str, occurrence: str = "", **more: object) -> None:
    """Write one line. A single `write` in append mode does not mix with other processes' lines."""
    fact = {
        "at_ns": time.time_ns(),
        "what": what,
        "occurrence": occurrence or current_occurrence().id,
        **more,
    }
    descriptor = os.open(_FOLDER / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
    os.write(descriptor, json.dumps(fact).encode() + b"\n")
    os.close(descriptor)


def _is_flagged(flag: str) -> bool:
    """Take the flag. Only one call gets it."""
    try:
        (_FOLDER / "flags" / flag).unlink()
    except OSError:
        return False
    return True


def _pause(seconds: float) -> None:
    time.sleep(seconds)  # noqa: TID251  an application's own


def _end(number: signal.Signals) -> None:
    """End this process by a signal, and do not return before."""
    os.kill(os.getpid(), number)
    _pause(_BLOCKS_S)


def quick() -> int:
    """Return at once."""
    note("call")
    return 1


def slow() -> None:
    """Take a while."""
    note("call")
    _pause(0.7)


def failing() -> None:
    """Raise."""
    note("call")
    raise ValueError("on purpose")


def exiting() -> None:
    """Leave by `sys.exit`."""
    note("call")
    sys.exit(3)


def printing() -> None:
    """Print a megabyte."""
    note("call")
    print("x" * 1_000_000)


def forking() -> None:
    """Fork a child that lives longer than the job."""
    note("call")
    if os.fork() == 0:
        _pause(2 * _BLOCKS_S)
        os._exit(0)


def pooling() -> int:
    """Use a pool of processes that stays."""
    note("call")
    if not _pools:
        _pools.append(ProcessPoolExecutor(1))
    return _pools[0].submit(int, "1").result(timeout=10)


def hogging() -> None:
    """If flagged, keep the GIL."""
    note("call")
    if _is_flagged("hog"):
        ctypes.PyDLL(None).usleep(_BLOCKS_S * 1_000_000)


def crashing() -> None:
    """If flagged, end the process by SIGSEGV."""
    note("call")
    if _is_flagged("crash"):
        _end(signal.SIGSEGV)


def stubborn() -> None:
    """If flagged, run far over the timeout, without checking `should_stop`."""
    note("call")
    if _is_flagged("stubborn"):
        _pause(6 * _BLOCKS_S)


def sign(request: Any) -> None:
    """Change a request before it goes out."""
    request.headers["X-Signed"] = "yes"


@app.post("/view")
def view() -> str:
    """Respond."""
    note("call")
    return "ok"


def link(value: object, occurrence: str, name: str) -> int:
    """Follow a run: a callback, or an errback that handles the failure."""
    note("link", occurrence, link=name)
    return 1


def broken_link(value: object, occurrence: str, name: str) -> None:
    """Follow a run, and raise."""
    note("link", occurrence, link=name)
    raise RuntimeError("on purpose")


@background
def work(number: int) -> int:
    """Run in the background; with a flag, end the process."""
    note("background", number=number)
    if _is_flagged("poison"):
        _end(signal.SIGKILL)
    _pause(number % 5 / 10)
    return number


@background
def poison(number: int) -> int:
    """Run in the background, and end the process each time."""
    note("background", number=number)
    _end(signal.SIGSEGV)
    return number


def submit_until_stopped() -> None:
    """Submit repeatedly, like a web worker. Each accepted run is a line in the file `accepted`."""
    numbers = range(int(sys.argv[1]), sys.maxsize)
    with (_FOLDER / "accepted").open("a", buffering=1, encoding="utf-8") as accepted:
        for number in numbers:
            submitted: Callable[[int], Any] = poison.submit if _is_flagged("submit-poison") else work.submit
            try:
                with app.test_request_context("/search", method="POST", data={"words": "shoes"}):
                    run = submitted(number)
            except Exception as error:  # noqa: BLE001  whatever the fault causes: not accepted
                fact = {"number": number, "refused": f"{type(error).__name__}: {error}"}
            else:
                fact = {
                    "number": number,
                    "occurrence": run.occurrence,
                    "is_poison": submitted == poison.submit,
                }
            accepted.write(json.dumps(fact) + "\n")
            _pause(0.25)
