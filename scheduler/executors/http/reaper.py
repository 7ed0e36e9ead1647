"""Close handles away from the lanes: `close` blocks for seconds where a name server is dead, and costs time at any rate."""

import gc
import queue
import threading
import traceback
from collections.abc import Iterable

import pycurl

from scheduler.clock import Clock
from scheduler.instants import SECOND
from scheduler.release.gate import Gate

Handle = pycurl.Curl | pycurl.CurlMulti


class Reaper:
    """One thread that closes what lanes are done with, while no shard of this process is about to be released. Thread-safe."""

    def __init__(self, *, gate: Gate, clock: Clock) -> None:
        self._gate = gate
        self._clock = clock
        self._dead: queue.SimpleQueue[list[Handle] | None] = queue.SimpleQueue()
        threading.Thread(target=self._reap, name="reaper", daemon=True).start()

    def bury(self, handles: Iterable[Handle]) -> None:
        """Close these some time soon: the easy handles before the multis that they were in."""
        self._dead.put(list(handles))

    def sweep(self) -> None:
        """A shard has ended: collect its garbage. The process runs with the collector off, it must not strike at a release."""
        self._dead.put(None)

    def _reap(self) -> None:
        while True:
            handles = self._dead.get()
            for handle in handles or ():
                self._wait_for_quiet()
                try:
                    handle.close()
                except Exception:  # noqa: BLE001  this one stays open; without this thread all would
                    traceback.print_exc()
            if handles is None:
                self._wait_for_quiet()
                gc.collect()

    def _wait_for_quiet(self) -> None:
        self._gate.wait_open(own=None, deadline_ns=self._clock.wall_ns() + 60 * SECOND)
