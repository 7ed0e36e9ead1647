"""
One process per job, forked before T from a process that has imported the application. Each sleeps until T,
then pushes its contexts and calls the function.

Contexts are created before T, and only pushed after T. This makes the peer as fast as possible.
"""

import gc
import json
import os
import time

from bench.peers import noting
from bench.peers.noting import app, note
from bench.waiting import wait_until


def main() -> None:
    """Run the peer with `--at NS --n N`."""
    words = noting.words()
    gc.freeze()
    jobs = [_fork(index, words.at) for index in range(words.n)]
    print(json.dumps({"waiting_at_t": len(jobs) if time.time_ns() < words.at else 0}))
    for job in jobs:
        os.waitpid(job, 0)


def _fork(index: int, at_ns: int) -> int:
    job = os.fork()
    if job:
        return job
    context = app.test_request_context()
    wait_until(at_ns)
    with app.app_context(), context:
        note(index)
    os._exit(0)


if __name__ == "__main__":
    main()
