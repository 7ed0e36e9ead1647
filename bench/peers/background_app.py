"""The application of the background runs: a view that submits one, and returns how long that took."""

import os
import time

from flask import Flask, jsonify
from flask.typing import ResponseReturnValue

from tminus.flask import Scheduler, background

app = Flask("background_app")
scheduler = Scheduler(app, app="background_app")


@background
def noted(number: int) -> int:
    """Note the call first, by a single write, which does not mix with other writes."""
    descriptor = os.open(os.environ["BENCH_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, b"%d\n" % number)
    os.close(descriptor)
    return number


@app.post("/<int:number>")
def submit(number: int) -> ResponseReturnValue:
    """Submit a run. Return its id, and the duration in nanoseconds."""
    before_ns = time.perf_counter_ns()
    run = noted.submit(number)
    return jsonify(id=run.id, took_ns=time.perf_counter_ns() - before_ns), 202
