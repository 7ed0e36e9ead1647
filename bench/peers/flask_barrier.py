"""
One thread per job, which waits at a `threading.Barrier`, then pushes its contexts and calls the function.

Contexts are created before T, and only pushed after T. This makes the peer as fast as possible.
"""

import json
import threading

from bench.peers import noting
from bench.peers.noting import app, note
from bench.waiting import hold_until


def main() -> None:
    """Run the peer with `--at NS --n N`."""
    words = noting.words()
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
