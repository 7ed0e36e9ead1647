"""APScheduler in its usual set-up: a pool of N threads, no grace time, one date job each at T."""

import json
import sys
import threading
import time
from datetime import UTC, datetime

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger

from bench.peers import request
from bench.waiting import SECOND

_PATIENCE_S = 90


def main() -> int:
    """Run the peer. Return the exit status."""
    words = request.words()
    threading.stack_size(256 << 10)
    good: list[bool] = []
    all_done = threading.Event()

    def job(index: int) -> None:
        good.append(request.perform(request.make(f"{words.url}{index}", words.ca)))
        if len(good) == words.n:
            all_done.set()

    scheduler = BackgroundScheduler(timezone=UTC, executors={"default": ThreadPoolExecutor(words.n)})
    trigger = DateTrigger(datetime.fromtimestamp(words.at // SECOND, UTC))
    for index in range(words.n):
        scheduler.add_job(job, trigger, args=[index], id=str(index), misfire_grace_time=None)
    scheduler.start()
    all_done.wait((words.at - time.time_ns()) / SECOND + _PATIENCE_S)
    scheduler.shutdown(wait=False)
    print(json.dumps({"ok": sum(good), "failed": words.n - sum(good)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
