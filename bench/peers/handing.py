"""
A web worker, as far as it hands work over: `main` is given {"instants": […], "threads": 4, "each": 50} as its argument.

Around each instant its threads are in requests, one after another, and hand a call over in each. What a `submit` took is printed,
JSON, in nanoseconds, a list for each instant.
"""

import json
import sys
import threading
import time
from collections.abc import Sequence

from flask import Flask

from scheduler.flask import Scheduler, background

app = Flask("handing")
scheduler = Scheduler(app, app="handing")

SECOND = 1_000_000_000
#: The requests of an instant come in this time, half of it before the instant.
AROUND_NS = SECOND


@background
def noted(words: str) -> str:
    """What is done later."""
    return words


def work(instants: Sequence[int], each: int, place: float, took: Sequence[list[int]]) -> None:
    """The requests of one thread; `place` is its own, between 0 and 1, among those that take turns."""
    for instant_ns, found in zip(instants, took, strict=True):
        for index in range(each):
            due_ns = instant_ns - AROUND_NS // 2 + round((index + place) * AROUND_NS / each)
            time.sleep(max(due_ns - time.time_ns(), 0) / SECOND)  # noqa: TID251  a bench's own
            with app.test_request_context("/search", method="POST", data={"words": "shoes"}):
                begun_ns = time.monotonic_ns()
                noted.submit("shoes")
                found.append(time.monotonic_ns() - begun_ns)


def main() -> None:
    """Hand over, and say what it took."""
    given = json.loads(sys.argv[1])
    took: list[list[int]] = [[] for _ in given["instants"]]
    with app.test_request_context("/search"):
        noted.submit("the first one opens the ledger")
    threads = [
        threading.Thread(
            target=work, args=(given["instants"], given["each"], place / given["threads"], took), name=f"request-{place}"
        )
        for place in range(given["threads"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(took))
