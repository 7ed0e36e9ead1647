"""The site: it submits work that goes on step by step, and records each request."""

import json
import time
from pathlib import Path
from typing import Any

from flask import Flask, Response, render_template, request
from werkzeug.http import http_date

from tminus.flask import Scheduler, background, current_occurrence

app = Flask("site_app")
scheduler = Scheduler(app, app="site", events=True)
folder = Path(__file__).parent
POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)


@background
def work(name: str, result: Any) -> Any:
    """Take four steps, each as soon as its file is there; fail if there is no result."""
    for step in range(1, 5):
        current_occurrence().progress(step / 8, f"step {step}")
        while not (folder / f"{name}.{step}").exists():
            time.sleep(0.01)
    if result is None:
        raise ValueError("<b>no</b> result")
    return result


@app.post("/work")
def begin() -> dict[str, str]:
    return {"id": work.submit(**request.get_json()).id}


@app.post("/later")
def later() -> dict[str, str]:
    return {"id": work.submit("later", "", delay="1h").id}


@app.get("/page")
def page() -> str:
    return render_template("page.html", urls=request.args.getlist("url"))


@app.before_request
def refuse() -> tuple[str, int] | None:
    """Refuse a request that asks for a refusal."""
    status = request.args.get("refused")
    return ("not now", int(status)) if status else None


@app.after_request
def finish(response: Response) -> Response:
    """Set the policy and, if the request says so, when to ask again; record the request."""
    response.headers["Content-Security-Policy"] = POLICY
    if again := request.args.get("again"):
        is_date, _, seconds = again.rpartition(":")
        response.headers["Retry-After"] = http_date(time.time() + int(seconds)) if is_date else seconds
    with (folder / "asked").open("a") as file:
        file.write(f"{json.dumps([request.full_path.rstrip('?'), response.status_code])}\n")
    return response
