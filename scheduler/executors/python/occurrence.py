"""What a job may know of its own run: `current_occurrence()`."""

import threading
from contextvars import ContextVar


class Running:
    """The run that this code is part of."""

    def __init__(self, identity: str) -> None:
        self.id = identity
        self._stop = threading.Event()

    @property
    def should_stop(self) -> bool:
        """Whether its time is over: who asks this now and then, and returns, ends in order."""
        return self._stop.is_set()

    def tell_to_stop(self) -> None:
        """Its time is over."""
        self._stop.set()


_current: ContextVar[Running | None] = ContextVar("occurrence", default=None)


def enter(running: Running) -> None:
    """What follows in this context is that run."""
    _current.set(running)


def current_occurrence() -> Running:
    """
    The run that this code is part of.

    Raises:
        RuntimeError: it is part of none.
    """
    running = _current.get()
    if running is None:
        raise RuntimeError("there is no current occurrence: this code was not started by tminus")
    return running
