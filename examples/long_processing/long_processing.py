"""
A form that starts work which takes longer than a web worker may, and a page that shows its progress.
"""

import threading

from flask import Flask, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from tminus.flask import Scheduler, background, current_occurrence

app = Flask(__name__)
scheduler = Scheduler(app, app="long_processing")

SHELVES = 20
LONGEST_S = 600
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'"
)


@background
def search(subject: str, seconds: int) -> str | None:
    """Search all shelves, within this many seconds."""
    occurrence, wait = current_occurrence(), threading.Event().wait
    for shelf in range(1, SHELVES + 1):
        if occurrence.should_stop:
            return None
        occurrence.progress((shelf - 1) / SHELVES, f"shelf {shelf} of {SHELVES}")
        wait(seconds / SHELVES)
    return f"{SHELVES} shelves looked through in {seconds} s; nothing about {subject} is missing."


@app.get("/")
def index() -> str:
    """Show the form."""
    return render_template("index.html", error=None, longest_s=LONGEST_S)


@app.post("/")
def begin() -> ResponseReturnValue:
    """Submit the search and redirect to the page of its run, `templates/tminus_run.html`."""
    subject = request.form.get("subject", "").strip()[:200]
    seconds = request.form.get("seconds", type=int)
    if not subject or seconds is None or not 1 <= seconds <= LONGEST_S:
        error = f"Say what to look for, and for how long: 1 to {LONGEST_S} seconds."
        return render_template("index.html", error=error, longest_s=LONGEST_S), 400
    run = search.submit(subject, seconds)
    return redirect(url_for("tminus.run", id=run.id), 303)


@app.after_request
def with_policy(response: Response) -> Response:
    """Allow nothing inline and nothing from other hosts."""
    response.headers["Content-Security-Policy"] = POLICY
    return response
