"""A function that is called without a T, and how the call has ended."""

from collections.abc import Callable
from dataclasses import dataclass, field

from scheduler.daemon.redaction import Redaction
from scheduler.daemon.render import Renderer
from scheduler.executors.python.wire import Finished, Work
from scheduler.model.batch import Due


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """
    A function to call.

    Attributes:
        owner: The row number of its run; each run has one call at a time.
        due: The run.
        work: Returns the work for this index; a `CannotRender` is the end of the call.
        secrets: Returns the values that no text for people may show; raises as `work`.
    """

    owner: int
    due: Due
    work: Callable[[Renderer, int], Work]
    secrets: Callable[[Renderer], frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """
    The end of a call: it has finished, it could not be made, or it is lost.

    Attributes:
        cannot: Why it was not called: its application does not work at the moment.
        failed: Why it was not called, and never can be.
        lost: Why its result is unknown.
        doubted: Why it was not called: its process died, or did not report in time, while it was prepared.
        is_alone: Whether nothing else ran in the process that has died.
        started_ns: When a lost call was entered, wall clock; 0 if that is unknown.
    """

    owner: int
    finished: Finished | None = None
    redaction: Redaction = field(default_factory=Redaction)
    executor: str | None = None
    cannot: str = ""
    failed: str = ""
    lost: str = ""
    doubted: str = ""
    is_alone: bool = False
    started_ns: int = 0

    @property
    def was_called(self) -> bool:
        """Whether it may have been entered."""
        return self.finished is not None or bool(self.lost)
