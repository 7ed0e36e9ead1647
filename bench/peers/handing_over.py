"""The application of the background calls: a view that hands one over, and says how long that took."""

import os
import time

from flask import Flask, jsonify
from flask.typing import ResponseReturnValue

from scheduler.flask import Scheduler, background

app = Flask("handing_over")
scheduler = Scheduler(app, app="handing_over")


@background
def noted(number: int) -> int:
    """Its first act is to say that it was called: a write that others' writes cannot mix with."""
    descriptor = os.open(os.environ["BENCH_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, b"%d\n" % number)
    os.close(descriptor)
    return number


@app.post("/<int:number>")
def hand_over(number: int) -> ResponseReturnValue:
    """The run's id, and nanoseconds."""
    before_ns = time.perf_counter_ns()
    run = noted.submit(number)
    return jsonify(id=run.id, took_ns=time.perf_counter_ns() - before_ns), 202
