"""The pulse: it goes on beating, whatever one look at the service comes to."""

import queue
from types import SimpleNamespace
from typing import Any

from scheduler.clock import SystemClock
from scheduler.daemon.pulse import Pulse


def test_a_look_that_breaks_does_not_end_the_heartbeat() -> None:
    beats: queue.SimpleQueue[None] = queue.SimpleQueue()
    breaks = iter([True])

    def is_well() -> bool:
        if next(breaks, False):
            raise OSError("too many open files")
        return True

    service: Any = SimpleNamespace(
        station=SimpleNamespace(clock=SystemClock()), is_well=is_well, beat=lambda: beats.put(None), problems=[]
    )
    lock: Any = SimpleNamespace(losses=0)
    pulse = Pulse(service, lock, lost=lambda: None)
    pulse.start()
    try:
        beats.get(timeout=30)
    finally:
        pulse.stop(60)
