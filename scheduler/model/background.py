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
