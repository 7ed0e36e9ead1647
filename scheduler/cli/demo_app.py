"""The demo's Flask application: a report that takes as long as the target server's answers."""

import threading

from flask import Flask, current_app, g, request

app = Flask("tminus-demo")


@app.get("/reports/<int:number>")
def report(number: int) -> dict[str, object]:
    """Uses what only a request has."""
    g.number = number
    threading.Event().wait(float(request.args.get("takes", "0.1")))
    return {"report": g.number, "app": current_app.name}
