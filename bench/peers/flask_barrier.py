"""
One thread per job, which waits at a `threading.Barrier`, then pushes its contexts and calls the function.

Contexts are created before T, and only pushed after T. This makes the peer as fast as possible.
"""

import argparse
import json
import threading

from bench.peers.noting import app, note
from bench.waiting import hold_until


def main() -> None:
    """Run the peer with `--at NS --n N`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", type=int, required=True)
    parser.add_argument("--n", type=int, required=True)
    words = parser.parse_args()
    barrier = threading.Barrier(words.n + 1)

    def job(index: int) -> None:
        context = app.test_request_context()
        barrier.wait()
        with app.app_context(), context:
            note(index)

    threads = [
        threading.Thread(target=job, args=(index,), name=f"job-{index}", daemon=True)
        for index in range(words.n)
    ]
    for thread in threads:
        thread.start()
    hold_until(words.at)
    waiting = barrier.n_waiting
    barrier.wait()
    for thread in threads:
        thread.join()
    print(json.dumps({"waiting_at_t": waiting}))


if __name__ == "__main__":
    main()
