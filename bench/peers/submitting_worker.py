"""
A process that submits like a web worker. Its argument is {"instants": […], "threads": 4, "each": 50}.

Around each instant, its threads handle requests one after another, and submit a call in each. The process
prints the duration of each `submit` as JSON, in nanoseconds, one list per instant.
"""

import json
import sys
import threading
import time
from collections.abc import Sequence

from flask import Flask

from tminus.flask import Scheduler, background

app = Flask("submitting_worker")
scheduler = Scheduler(app, app="submitting_worker")

SECOND = 1_000_000_000
#: The requests of an instant arrive within this time, half of it before the instant.
AROUND_NS = SECOND


@background
def noted(words: str) -> str:
    """The background function."""
    return words


def work(instants: Sequence[int], each: int, place: float, took: Sequence[list[int]]) -> None:
    """Handle the requests of one thread. `place` is its phase among the threads, from 0 to 1."""
    for instant_ns, found in zip(instants, took, strict=True):
        for index in range(each):
            due_ns = instant_ns - AROUND_NS // 2 + round((index + place) * AROUND_NS / each)
            time.sleep(max(due_ns - time.time_ns(), 0) / SECOND)  # noqa: TID251  a bench's own
            with app.test_request_context("/search", method="POST", data={"words": "shoes"}):
                begun_ns = time.monotonic_ns()
                noted.submit("shoes")
                found.append(time.monotonic_ns() - begun_ns)


def main() -> None:
    """Submit, and print the durations."""
    given = json.loads(sys.argv[1])
    took: list[list[int]] = [[] for _ in given["instants"]]
    with app.test_request_context("/search"):
        noted.submit("the first one opens the ledger")
    threads = [
        threading.Thread(
            target=work,
            args=(given["instants"], given["each"], place / given["threads"], took),
            name=f"request-{place}",
        )
        for place in range(given["threads"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(took))
