"""
One thread per job. Each has a prepared handle and waits at a `threading.Barrier`. The main thread arrives
last, at T.
"""

import json
import sys
import threading

from bench.peers import request
from bench.waiting import hold_until

#: Enough for libcurl with TLS. Ten thousand stacks of the default 8 MiB do not fit into some address spaces.
_STACK = 256 << 10


def main() -> int:
    """Run the peer. Return the exit status."""
    words = request.words()
    threading.stack_size(_STACK)
    barrier = threading.Barrier(words.n + 1)
    good: list[bool] = []

    def job(index: int) -> None:
        curl = request.make(f"{words.url}{index}", words.ca)
        barrier.wait()
        good.append(request.perform(curl))

    threads = [
        threading.Thread(target=job, args=(index,), name=f"job-{index}", daemon=True)
        for index in range(words.n)
    ]
    for started, thread in enumerate(threads):
        try:
            thread.start()
        except RuntimeError as error:
            print(f"{error} after {started}", file=sys.stderr)
            return 1
    hold_until(words.at)
    waiting = barrier.n_waiting
    barrier.wait()
    for thread in threads:
        thread.join()
    print(json.dumps({"ok": sum(good), "failed": words.n - sum(good), "waiting_at_t": waiting}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
