"""A call without a T, and its result."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tminus.daemon.attempts.render import Renderer
from tminus.executors.protocol import AttemptResult
from tminus.executors.python.wire import Work
from tminus.model.occurrence import OccurrenceId
from tminus.secrets.redaction import Redaction


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """
    A function to call.

    Attributes:
        owner: What the call is for: the row number of a run, for its function or its chain; for `prepare`,
            the index of the request in its batch. An owner has one call at a time.
        occurrence: The run, for people.
        work: Returns the work of the runner. If it raises `CannotRender`, the call ends.
        redaction: Returns what removes secrets from texts for people; raises as `work`.
        latest_ns: The function is not entered after this, wall clock. None stands for a minute after the call
            was sent.
    """

    owner: int
    occurrence: OccurrenceId
    work: Callable[[Renderer], Work]
    redaction: Callable[[Renderer], Redaction]
    latest_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """
    The result of a call: it has finished, it could not be made, or it is lost.

    Attributes:
        cannot: Why it was not called: its application does not work at the moment, or it was asked to stop.
        failed: Why it was not called, and never can be.
        lost: Why its result is unknown.
        doubted: Why it was not called, perhaps by its own fault: its process died before its function was
            entered, or did not report in time.
        died: How its process died, for people; empty if it did not.
        is_alone: Whether nothing else ran in its process.
        started_ns: When a lost call was entered, wall clock; 0 if that is unknown.
    """

    owner: int
    finished: AttemptResult | None = None
    redaction: Redaction = field(default_factory=Redaction)
    executor: str | None = None
    cannot: str = ""
    failed: str = ""
    lost: str = ""
    doubted: str = ""
    died: str = ""
    is_alone: bool = False
    started_ns: int = 0

    @property
    def was_called(self) -> bool:
        """Whether it may have been entered."""
        is_entered = self.finished is not None and not self.finished.not_in_code
        return is_entered or bool(self.lost)
