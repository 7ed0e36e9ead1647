"""A latch: what has time until all of a shard are out waits here."""

import threading


class Latch:
    """
    Shut at first. Thread-safe.

    A lock, which each that waits hands on to the next: an Event costs twice as much to wait for, at the one moment when others
    want the GIL, and wakes all at once.
    """

    def __init__(self) -> None:
        self._shut = threading.Lock()
        self._shut.acquire()

    def open(self) -> None:
        """For good; once."""
        self._shut.release()

    def wait(self) -> None:
        """Until it is open."""
        with self._shut:
            pass
