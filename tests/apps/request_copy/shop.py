"""Background functions that keep a copy of a request, and one that prints all of it."""

import time
from pathlib import Path

from flask import Flask, request, session

from tminus.flask import Scheduler, background

folder = Path(__file__).parent
app = Flask("shop")
app.secret_key = "made up"
scheduler = Scheduler(app, app="shop", drop=["Nickname", "X-Request-Id"], keep_headers=["X-Tenant"])
CANARY = "kanarienvogel-4711:z/w"


def wait() -> None:
    """Wait until the test says `go`."""
    while not (folder / "go").exists():
        time.sleep(0.01)


@background
def quiet() -> None:
    wait()


@background
def loud() -> None:
    """Print, log and raise everything."""
    everything = (
        request,
        dict(request.headers),
        request.args,
        request.form,
        request.get_json(silent=True),
        request.cookies,
    )
    print(everything, request.environ)
    app.logger.error("all of it: %r", everything)
    wait()
    raise ValueError(repr(everything))


@app.route("/log-in")
def log_in() -> dict[str, str]:
    session["user"] = "somebody"
    session["csrf_token"] = CANARY
    session["deep"] = {"oauth_token": [CANARY]}
    return {}


@app.post("/<name>")
def hand_over(name: str) -> dict[str, str]:
    return {"id": {"quiet": quiet, "loud": loud}[name].submit().id}
