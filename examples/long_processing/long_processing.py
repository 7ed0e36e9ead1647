"""A page that takes a request, answers at once, and shows how the work goes on that takes longer than a web worker may."""

import threading

from flask import Flask, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from scheduler.flask import Scheduler, background, current_occurrence

app = Flask(__name__)
scheduler = Scheduler(app, app="long_processing")

SHELVES = 20
LONGEST_S = 600
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'"


@background
def search(subject: str, seconds: int) -> str | None:
    """Look through all shelves, which takes so many seconds in all."""
    occurrence, wait = current_occurrence(), threading.Event().wait
    for shelf in range(1, SHELVES + 1):
        if occurrence.should_stop:
            return None
        occurrence.progress((shelf - 1) / SHELVES, f"shelf {shelf} of {SHELVES}")
        wait(seconds / SHELVES)
    return f"{SHELVES} shelves looked through in {seconds} s; nothing about {subject} is missing."


@app.get("/")
def index() -> str:
    """The form."""
    return render_template("index.html", error=None, longest_s=LONGEST_S)


@app.post("/")
def begin() -> ResponseReturnValue:
    """Hand it over, and show the run's own page, which is `templates/tminus_run.html` of this application."""
    subject = request.form.get("subject", "").strip()[:200]
    seconds = request.form.get("seconds", type=int)
    if not subject or seconds is None or not 1 <= seconds <= LONGEST_S:
        error = f"Say what to look for, and for how long: 1 to {LONGEST_S} seconds."
        return render_template("index.html", error=error, longest_s=LONGEST_S), 400
    run = search.submit(subject, seconds)
    return redirect(url_for("scheduler.run", id=run.id), 303)


@app.after_request
def with_policy(response: Response) -> Response:
    """Nothing inline, nothing from elsewhere."""
    response.headers["Content-Security-Policy"] = POLICY
    return response
