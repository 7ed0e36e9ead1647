"""Submissions by views and by a job, up to their limits and beyond."""

from typing import Any

from flask import Flask, request

from tminus.flask import Scheduler, background

app = Flask("shop")
app.testing = True
scheduler = Scheduler(app, app="shop")


@background
def look(what: Any) -> str:
    return "looked"


@background
def hands_over(levels: int, length: int) -> str:
    """Submit a text of this length, nested so deep; return the id of the run, or the error."""
    what: Any = "x" * length
    for _ in range(levels):
        what = [what]
    try:
        return look.submit(what).id
    except (TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


@app.post("/search")
def search() -> dict[str, str]:
    return {"id": look.submit(request.get_json(force=True)).id}


@app.post("/copied")
def copied() -> dict[str, str]:
    return {"id": look.submit("this").id}
