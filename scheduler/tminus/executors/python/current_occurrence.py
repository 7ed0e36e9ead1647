"""`current_occurrence()`: the occurrence that runs the calling code."""

import threading
from collections.abc import Callable
from contextvars import ContextVar

from tminus.executors.python import texts

_MOST = 1000


class CurrentOccurrence:
    """
    The occurrence that runs this code. Thread-safe.

    Attributes:
        id: Its id, such as `report@2026-11-20T11:30:00Z`.
        run_id: The id of its run, as `RunHandle.id`, if it is a background run; otherwise None.
    """

    def __init__(
        self,
        occurrence_id: str,
        report: Callable[[float, str], None] = lambda *_: None,
        *,
        run_id: str | None = None,
    ) -> None:
        self.id = occurrence_id
        self.run_id = run_id
        self._stop = threading.Event()
        self._report = report

    @property
    def should_stop(self) -> bool:
        """Whether this run is to stop. A job that checks it regularly, and returns then, ends cleanly."""
        return self._stop.is_set()

    def progress(self, fraction: float, text: str = "") -> None:
        """
        Report the progress. Readers see the latest report.

        Args:
            fraction: From 0 to 1.
            text: For people; cut after 1000 characters.

        Raises:
            ValueError: `fraction` is not between 0 and 1.
        """
        if not 0 <= fraction <= 1:
            raise ValueError(f"progress is a fraction from 0 to 1; got {fraction!r}")
        self._report(float(fraction), texts.bounded(str(text), _MOST))

    def request_stop(self) -> None:
        """Ask this run to stop."""
        self._stop.set()


_current: ContextVar[CurrentOccurrence | None] = ContextVar("occurrence", default=None)


def enter(occurrence: CurrentOccurrence) -> None:
    """Set the occurrence of this context."""
    _current.set(occurrence)


def current_occurrence() -> CurrentOccurrence:
    """
    Return the occurrence that runs this code.

    Raises:
        RuntimeError: tminus did not start this code.
    """
    occurrence = _current.get()
    if occurrence is None:
        raise RuntimeError("there is no current occurrence: this code was not started by tminus")
    return occurrence
