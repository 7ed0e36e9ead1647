"""What a job may know of its own run: `current_occurrence()`."""

import threading
from collections.abc import Callable
from contextvars import ContextVar

from scheduler.executors.python import texts

_MOST = 1000


class Running:
    """
    The run that this code is part of. Thread-safe.

    Args:
        tell: Takes how far it has come.
    """

    def __init__(self, identity: str, tell: Callable[[float, str], None] = lambda _part, _text: None) -> None:
        self.id = identity
        self._stop = threading.Event()
        self._tell = tell

    @property
    def should_stop(self) -> bool:
        """Whether its time is over: who asks this now and then, and returns, ends in order."""
        return self._stop.is_set()

    def progress(self, part: float, text: str = "") -> None:
        """
        Say how far it has come; who looks sees the last that was said.

        Args:
            part: From 0 to 1.
            text: For people; what is longer than 1000 characters is cut.

        Raises:
            ValueError: no such part.
        """
        if not 0 <= part <= 1:
            raise ValueError(f"progress is a part of 1, from 0 to 1; got {part!r}")
        self._tell(float(part), texts.bounded(str(text), _MOST))

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
