"""The Flask application of the demo. Its view takes some time, as the target server does."""

from flask import Flask, current_app, g, request

from tminus.clock import SystemClock
from tminus.instants import SECOND

app = Flask("tminus-demo")


@app.get("/reports/<int:number>")
def report(number: int) -> dict[str, object]:
    """A view that needs a request context."""
    g.number = number
    SystemClock.pause(int(float(request.args.get("takes", "0.1")) * SECOND))
    return {"report": g.number, "app": current_app.name}
