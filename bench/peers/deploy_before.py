"""The application of the deploy before its new code: one background function, and a view that submits it."""

import os

from flask import Flask, jsonify
from flask.typing import ResponseReturnValue

from tminus.flask import Scheduler, background

app = Flask("shop")
scheduler = Scheduler(app, app="shop")


def note(number: int) -> int:
    """Note a call by a single write, which does not mix with other writes."""
    descriptor = os.open(os.environ["BENCH_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, b"%d\n" % number)
    os.close(descriptor)
    return number


@background
def noted(number: int) -> int:
    return note(number)


@app.post("/<int:number>")
def submit(number: int) -> ResponseReturnValue:
    """Submit a run. Return its id."""
    return jsonify(id=noted.submit(number).id), 202
