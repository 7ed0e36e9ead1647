"""The application of the deploy with its new code: one more background function, one more argument."""

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
def noted(number: int, *, since: str = "") -> int:
    return note(number)


@background
def noted_anew(number: int) -> int:
    return note(number)


@app.post("/<int:number>")
def submit(number: int) -> ResponseReturnValue:
    """Submit a run that only this code has: another function, or another argument. Return its id."""
    run = noted_anew.submit(number) if number % 2 else noted.submit(number, since="the deploy")
    return jsonify(id=run.id), 202
