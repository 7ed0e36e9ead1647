"""A latch: threads wait until it is opened, and leave one after another."""

import threading


class Latch:
    """
    Shut at first. Thread-safe.

    It is a lock, which each waiting thread passes on to the next. To wait for an Event costs twice as much,
    at the moment when others need the GIL, and it wakes all threads at once.
    """

    def __init__(self) -> None:
        self._shut = threading.Lock()
        self._shut.acquire()

    def open(self) -> None:
        """Open the latch permanently. Call this at most once."""
        self._shut.release()

    def wait(self, timeout_s: float = -1) -> bool:
        """
        Wait until the latch is open and this thread's turn has come.

        Args:
            timeout_s: The longest time to wait; -1 for no limit.

        Returns:
            False if the time ran out first.
        """
        in_turn = self._shut.acquire(timeout=timeout_s)
        if in_turn:
            self._shut.release()
        return in_turn
