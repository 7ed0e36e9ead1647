"""
A poll, served twice by the same views: with state that all workers share, and below `/plain` with a global
variable, which gives wrong results.
"""

import json
import os
import secrets
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, abort, redirect, render_template, session, url_for
from werkzeug.wrappers import Response

from tminus.flask import Scheduler, State, background

CHOICES = ("yes", "no")

app = Flask(__name__)
app.secret_key = os.environ.get("VOTES_SECRET", "made up")
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
scheduler = Scheduler(app, app="votes")


class Global:
    """
    State in a global variable. Each worker has its own, and two threads that count at once count once.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, name: str, default: Any = None) -> Any:
        return self.values.get(name, default)

    def set(self, name: str, value: Any) -> None:
        self.values[name] = value

    def incr(self, name: str, by: int = 1) -> int:
        before: int = self.values.get(name, 0)
        self.values[name] = before + by
        return before + by

    def lock(self, _name: str, timeout: str = "10s") -> AbstractContextManager[None]:
        return nullcontext()


def views(state: State | Global) -> Blueprint:
    """
    Return the views of the poll.

    Args:
        state: Where the votes are stored.
    """
    poll = Blueprint("poll", __name__)

    @poll.get("/")
    def page() -> str:
        return render_template("poll.html", tally=tally_of(state), choices=CHOICES)

    @poll.get("/tally")
    def tally() -> dict[str, Any]:
        return {**tally_of(state), "worker": os.getpid()}

    @poll.post("/start")
    def start() -> Response:
        with state.lock("poll", timeout="30s"):
            state.incr("round")  # voters of an earlier round may vote again
            for choice in CHOICES:
                state.set(choice, 0)
            state.set("open", True)
        return redirect(url_for(".page"), 303)

    @poll.post("/vote/<any(yes, no):choice>")
    def vote(choice: str) -> Response:
        with state.lock("poll", timeout="30s"):  # check, decide and count in one step
            voter = open_for(state)
            if state.get(voter):
                abort(409, "you have voted: correct it")
            state.set(voter, choice)
            state.incr(choice)
        return redirect(url_for(".page"), 303)

    @poll.post("/correct/<any(yes, no, nothing):choice>")
    def correct(choice: str) -> Response:
        with state.lock("poll", timeout="30s"):
            voter = open_for(state)
            if not (before := state.get(voter)):
                abort(409, "you have not voted")
            state.incr(before, -1)
            state.set(voter, None if choice == "nothing" else choice)
            if choice != "nothing":
                state.incr(choice)
        return redirect(url_for(".page"), 303)

    @poll.post("/stop")
    def stop() -> Response:
        write_tally.submit(closed(state))
        return redirect(url_for(".page"), 303)

    return poll


def tally_of(state: State | Global) -> dict[str, Any]:
    """Return the tally. It never shows half of a correction."""
    with state.lock("poll", timeout="30s"):
        return {"open": state.get("open", False), **{choice: state.get(choice, 0) for choice in CHOICES}}


def open_for(state: State | Global) -> str:
    """Return the name of this browser's vote. Abort with 409 if no poll is open."""
    if not state.get("open"):
        abort(409, "no poll is open")
    voter = session.setdefault("voter", secrets.token_hex(8))
    return f"vote {state.get('round')} {voter}"


def closed(state: State | Global) -> dict[str, Any]:
    """Close the poll and return its tally."""
    with state.lock("poll", timeout="30s"):
        state.set("open", False)
    return tally_of(state)


def close() -> None:
    """Close the poll in the evening; the job `close_poll`."""
    write_tally.submit(closed(scheduler.state))


@background
def write_tally(tally: dict[str, Any]) -> None:
    """Write the tally. A second call is harmless, because it replaces the file."""
    file = Path(__file__).with_name("tally.json")
    new = file.with_suffix(".new")
    new.write_text(json.dumps(tally))
    new.replace(file)


app.register_blueprint(views(scheduler.state))
app.register_blueprint(views(Global()), url_prefix="/plain", name="plain")
