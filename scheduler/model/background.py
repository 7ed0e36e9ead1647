"""Background runs: functions that an application submits and does not wait for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scheduler.model.occurrence import OccurrenceId
from scheduler.outcome import Outcome, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """
    What an application submits. `repr` shows no argument and nothing of a request.

    Attributes:
        app: The application, a name under `apps`.
        ref: The function, `module:name`.
        options: `timeout_ns`, and `then` as in the jobs file.
        given: `args`, `kwargs`, and `request` if there is a copy of one. All of it is JSON.
        planned_at_ns: The earliest start; None for at once.
    """

    app: str
    ref: str
    options: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict, repr=False)
    planned_at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Deaths:
    """
    How often a process has died while a run was in it. Such a run is a suspect, and is called in a process of its own.

    Attributes:
        alone: Deaths that count against the run.
        beside: Deaths while others ran in the process, too. They count only once the run has ended a process alone.
    """

    alone: int = 0
    beside: int = 0

    @property
    def is_suspect(self) -> bool:
        """Whether there was a death."""
        return self != Deaths()

    def one_more(self, *, is_alone: bool) -> "Deaths":
        """Return the number after one more death."""
        return Deaths(alone=self.alone + self.beside + 1) if is_alone else Deaths(self.alone, self.beside + 1)


@dataclass(frozen=True, slots=True)
class Accepted:
    """
    Attributes:
        id: 128 random bits; whoever knows them may ask for the status.
        occurrence: The occurrence of the run.
    """

    id: str
    occurrence: OccurrenceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The status of a background run; `number` is the number of its row."""

    id: str
    number: int
    occurrence: OccurrenceId
    app: str
    state: State
    outcome: Outcome | None
    reason: str | None
    attempts: int
    progress: float | None
    progress_text: str | None
    result: Any
