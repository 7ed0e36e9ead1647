"""Views and functions that return, fail, wait, and end their process."""

import os
import time
from pathlib import Path

from flask import Flask, Response, current_app, jsonify, request

app = Flask("shop")
folder = Path(__file__).parent


@app.route("/reports/<int:n>", methods=["GET", "POST"])
def report(n: int) -> Response:
    print("report", n)
    return jsonify(n=n, json=request.get_json(silent=True))


@app.route("/broken")
def broken() -> str:
    raise ValueError("no such customer")


def export(n: int) -> dict[str, object]:
    current_app.logger.info("exporting %s", n)
    return {"n": n, "path": request.path}


def fails(token: str) -> None:
    print("the token is", token)
    raise ValueError(f"{token} is not accepted")


def dies() -> None:
    wait()
    os._exit(3)


def takes_long() -> str:
    wait()
    return "done"


def wait() -> None:
    """Wait until the test says `go`."""
    while not (folder / "go").exists():
        time.sleep(0.01)
