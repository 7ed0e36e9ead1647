"""Background functions that return, wait, fail, end their process, and submit others."""

import os
import time
from pathlib import Path
from typing import Any

from flask import Flask, current_app, request, session

from tminus.flask import Scheduler, background, current_occurrence

app = Flask("shop")
app.secret_key = "made up"
folder = Path(__file__).parent
scheduler = Scheduler(app, app="shop", drop=["pin"])


def note(words: str) -> None:
    """Append a line to the notes."""
    with (folder / "notes").open("a") as file:
        file.write(f"{words}\n")


def wait() -> None:
    """Wait until the test says `go`."""
    while not (folder / "go").exists():
        time.sleep(0.01)


@background
def look(word: str, *, times: int = 1) -> dict[str, Any]:
    """Return the arguments and all of the request."""
    note(word)
    return {
        "word": word,
        "times": times,
        "app": current_app.name,
        "path": request.full_path,
        "method": request.method,
        "form": request.form.to_dict(),
        "json": request.get_json(silent=True),
        "user": session.get("user"),
        "from": request.remote_addr,
        "headers": {name.lower(): value for name, value in request.headers},
    }


@background
def slow(name: str = "slow") -> str:
    current_occurrence().progress(0.25, "a quarter")
    note(f"{name} began")
    wait()
    note(f"{name} ended")
    return "done"


@background(then=[{"errback": "shop:noted"}])
def stops() -> None:
    note("stops began")
    while not current_occurrence().should_stop:
        time.sleep(0.01)


@background
def reports() -> None:
    counted = 0
    while not current_occurrence().should_stop:
        counted += 1
        current_occurrence().progress(0.5, f"{counted} of many")
    current_occurrence().progress(1)


@background(retry={"max_attempts": 3, "initial_interval": "100ms", "retry_on": [ConnectionError]})
def busy(error: str) -> None:
    """Raise what the policy names, or something else."""
    note("busy")
    raise ConnectionResetError("not now") if error == "busy" else ValueError("never")


@background(then=[{"errback": "shop:noted"}])
def fails(token: str) -> None:
    raise ValueError(f"{token} is not accepted")


def noted(failure: Exception) -> None:
    note(f"noted {failure}")


@background
def dies() -> None:
    note("dies")
    os._exit(3)


@background(timeout="0.3s")
def for_ever() -> None:
    wait()


def operates() -> None:
    """Run a job, and pause it."""
    note(f"ran {scheduler.run_now('nightly')}")
    note(f"paused {scheduler.pause('nightly', reason='enough')}")


@background
def says_its_id() -> str | None:
    """Return the id of this run."""
    return current_occurrence().run_id


@background
def maps(many: int) -> list[str]:
    """Submit many runs at once."""
    return [run.id for run in look.map(map(str, range(many)))]


@background
def asks() -> str:
    return look.submit("a").status().state


@background
def hands_over(depth: int) -> str | None:
    note(f"depth {depth}")
    return hands_over.submit(depth - 1).id if depth else None


@app.route("/search", methods=["GET", "POST"])
def search() -> dict[str, str]:
    session["user"] = "me"
    if request.args.get("save"):
        request.files["photo"].save(folder / "photo")
    run = look.submit("shoes", times=2)
    return {"id": run.id, "occurrence": run.occurrence}
