"""Targets, a link and a `prepare` that succeed, and a function that does not end."""

import os
import threading
from pathlib import Path

from flask import Flask

from tminus.flask import Request

app = Flask("shop")


@app.get("/view")
def view() -> str:
    return "seen"


def look() -> int:
    return 1


def wait() -> None:
    """Write the process into a file, and never return."""
    with (Path(__file__).parent / "entered").open("a") as file:
        print(os.getpid(), file=file)
    threading.Event().wait()


def follow(result: object) -> int:
    return 2


def prepare(request: Request) -> None:
    request.headers["X-Prepared"] = "yes"
