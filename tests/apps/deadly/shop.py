"""Background functions that crash, hang, or wait for the end of their process."""

import ctypes
import os
import threading
import time
from pathlib import Path
from typing import Any

from flask import Flask

from tminus.flask import Scheduler, background

folder = Path(__file__).parent
app = Flask("shop")
scheduler = Scheduler(app, app="shop")


def note(words: str) -> None:
    descriptor = os.open(folder / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{words}\n".encode())
    os.close(descriptor)


def wait_for(count: int) -> None:
    """Wait until there are this many notes."""
    while len((folder / "notes").read_text().split()) < count:
        time.sleep(0.01)


plain_sessions = app.session_interface


class Sessions(type(plain_sessions)):  # type: ignore[misc]  # the class that this Flask has
    """Sessions that end the process that copies the request of `/exits`."""

    def open_session(self, app: Any, request: Any) -> Any:
        if request.path == "/exits":
            os._exit(3)
        return super().open_session(app, request)


if "TMINUS_APP" in os.environ:  # in a runner, not in the web worker
    app.session_interface = Sessions()


@background
def well() -> str:
    return "done"


@app.get("/exits")
def exits() -> dict[str, str]:
    return {"id": well.submit().id}


@background
def innocent(beside: int) -> str:
    is_first = not (folder / "dead").exists()
    note("innocent")
    if is_first:
        threading.Event().wait()  # for the end of its process
    return "done"


@background
def crashes(beside: int) -> None:
    note("crashes")
    wait_for(beside)
    (folder / "dead").touch()
    ctypes.string_at(0)


@background
def hangs(beside: int) -> None:
    note("hangs")
    wait_for(beside)
    while not (folder / "go").exists():
        time.sleep(0.01)
