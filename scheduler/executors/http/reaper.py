"""Close handles on another thread than the lanes': `close` blocks for seconds if a name server is dead, and always takes time."""

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
    """One thread that closes handles of lanes, while no shard of this process is about to be released. Thread-safe."""

    def __init__(self, *, gate: Gate, clock: Clock) -> None:
        self._gate = gate
        self._clock = clock
        self._dead: queue.SimpleQueue[list[Handle] | None] = queue.SimpleQueue()
        threading.Thread(target=self._reap, name="reaper", daemon=True).start()

    def bury(self, handles: Iterable[Handle]) -> None:
        """Have these closed soon. Pass easy handles before the multis that they were in."""
        self._dead.put(list(handles))

    def sweep(self) -> None:
        """Have the garbage of a shard collected. The collector is off here, because it must not run during a release."""
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
