"""Work that an application hands over and does not wait for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scheduler.model.occurrence import OccurrenceId
from scheduler.outcome import Outcome, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """
    What an application hands over. `repr` shows no argument and nothing of a request.

    Attributes:
        app: Whose; a name under `apps`.
        ref: The function, `module:name`.
        options: What the run is kept with: `timeout_ns`, `then` in the words of the jobs file.
        given: `args`, `kwargs`, and `request` where there is a copy of one. All of it JSON.
        planned_at_ns: Not before then; None for at once.
    """

    app: str
    ref: str
    options: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict, repr=False)
    planned_at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Deaths:
    """
    How often a run's process has died while the run was in it. Such a run is a suspect, and called in a process of its own.

    Attributes:
        alone: Deaths that count against the run.
        beside: Deaths while others ran in the process, too. They count only once the run has ended a process alone.
    """

    alone: int = 0
    beside: int = 0

    @property
    def is_suspect(self) -> bool:
        """Whether there was any."""
        return self != Deaths()

    def one_more(self, *, is_alone: bool) -> "Deaths":
        """After another one."""
        return Deaths(alone=self.alone + self.beside + 1) if is_alone else Deaths(self.alone, self.beside + 1)


@dataclass(frozen=True, slots=True)
class Accepted:
    """
    Attributes:
        id: 128 random bits: who knows them may ask how it goes.
        occurrence: What they stand for.
    """

    id: str
    occurrence: OccurrenceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a background run stands; `number` is that of its row."""

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
