"""A function that is called for no T, and how its call has ended."""

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
        owner: The row number of the run that it is, or belongs to; one call each at a time.
        due: The run.
        work: Makes it, by its index; a CannotRender is its end.
        secrets: What no text for people may hold of it; as `work`.
    """

    owner: int
    due: Due
    work: Callable[[Renderer, int], Work]
    secrets: Callable[[Renderer], frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """
    How a call has ended: it has finished, it could not be made, or it is lost.

    Attributes:
        cannot: Why it was not called: its application does not work at the moment.
        failed: Why it was not called, and never can be.
        lost: Why nobody can say how far it came.
        doubted: Why it was not called: its process died, or nothing came, while it was prepared.
        is_alone: Nothing else ran in the process that has died.
        started_ns: When a lost one was entered, wall clock; 0 where that is not known.
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
