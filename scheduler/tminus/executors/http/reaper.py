"""Closes handles on a thread of its own, because `close` takes seconds if a name server is dead."""

import gc
import queue
import threading
import traceback
from collections.abc import Iterable

import pycurl

from tminus.clock import Clock
from tminus.instants import SECOND
from tminus.release.gate import Gate

Handle = pycurl.Curl | pycurl.CurlMulti


class Reaper:
    """
    One thread that closes handles of lanes, while no shard of this process is about to be released.
    Thread-safe.
    """

    def __init__(self, *, gate: Gate, clock: Clock) -> None:
        self._gate = gate
        self._clock = clock
        self._handles: queue.SimpleQueue[list[Handle] | None] = queue.SimpleQueue()
        threading.Thread(target=self._reap, name="reaper", daemon=True).start()

    def close_later(self, handles: Iterable[Handle]) -> None:
        """Close these handles soon. Pass easy handles before the multis that they were in."""
        self._handles.put(list(handles))

    def collect_garbage(self) -> None:
        """
        Collect the garbage of a shard soon. Python's collector is off, because it must not run during a
        release.
        """
        self._handles.put(None)

    def _reap(self) -> None:
        while True:
            handles = self._handles.get()
            for handle in handles or ():
                self._wait_for_quiet()
                try:
                    handle.close()
                except Exception:  # noqa: BLE001  this handle stays open; without this thread all would
                    traceback.print_exc()
            if handles is None:
                self._wait_for_quiet()
                gc.collect()

    def _wait_for_quiet(self) -> None:
        self._gate.wait_open(own=None, deadline_ns=self._clock.wall_ns() + 60 * SECOND)
