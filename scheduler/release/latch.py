"""A latch: work that can wait until all of a shard have started waits here."""

import threading


class Latch:
    """
    Shut at first. Thread-safe.

    It is a lock, which each waiting thread passes on to the next. To wait for an Event costs twice as much, at the moment when
    others need the GIL, and it wakes all threads at once.
    """

    def __init__(self) -> None:
        self._shut = threading.Lock()
        self._shut.acquire()

    def open(self) -> None:
        """Open the latch permanently. Call this at most once."""
        self._shut.release()

    def wait(self) -> None:
        """Wait until it is open."""
        with self._shut:
            pass
