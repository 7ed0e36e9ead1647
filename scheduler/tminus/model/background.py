"""Background runs: functions that an application submits and does not wait for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tminus.instants import LATEST_NS
from tminus.model.chain import Link
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import OccurrenceState, Outcome
from tminus.policies.retry import NO_RETRY, Retry

#: The longest time of a run: 73 years, which can be added to a wall clock.
LONGEST_RUN_NS = LATEST_NS // 4

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def is_run_id(text: str) -> bool:
    """Return whether a text may be the id of a run: up to 100 letters, digits and `._-`."""
    return _RUN_ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """
    The call that an application submits. `repr` shows no argument and nothing of a request.

    Attributes:
        app: The application, a name under `apps`.
        ref: The function, `module:name`.
        options: `timeout_ns`, and `retry` and `then` as in the jobs file.
        given: `args`, `kwargs`, and `request` if there is a copy of one. All of it is JSON.
        planned_at_ns: The earliest start; None for at once.
        id: The id of the run; None for a random one.
    """

    app: str
    ref: str
    options: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict, repr=False)
    planned_at_ns: int | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundRun:
    """
    A background run and its options, without the input of its function.

    Attributes:
        ref, app: As in its `Submission`; the code at `ref` must declare what follows.
        total_ns: The limit of each of its functions.
        retry: Whether an attempt that failed is followed by another one.
        then: The chain that follows.
    """

    id: OccurrenceId
    ref: str
    app: str
    total_ns: int
    retry: Retry = NO_RETRY
    then: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Deaths:
    """
    The number of processes that have died while a run was in them. Such a run is a suspect, and is called in
    a process of its own.

    Attributes:
        alone: Deaths that count against the run.
        shared: Deaths while others ran in the process, too. They count only after the run has ended a process
            alone, and then all of them.
    """

    alone: int = 0
    shared: int = 0

    @property
    def is_suspect(self) -> bool:
        """Whether there was a death."""
        return self != Deaths()

    def count_death(self, *, is_alone: bool) -> "Deaths":
        """Return the deaths after one more."""
        return Deaths(alone=self.alone + self.shared + 1) if is_alone else Deaths(self.alone, self.shared + 1)


@dataclass(frozen=True, slots=True)
class SubmissionReceipt:
    """
    The confirmation that a run is stored.

    Attributes:
        id: The id of the run. Anyone who knows it may ask for the status.
        occurrence: The occurrence of the run.
    """

    id: str
    occurrence: OccurrenceId


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """
    The status of a background run.

    Attributes:
        id: The id of the run, as in `RunHandle`.
        number: The number of its row in the ledger.
        occurrence: The id of its occurrence.
        app: The name of its application.
        state: queued, claimed, running or finished.
        outcome: How it ended: succeeded, failed, timed_out, cancelled, skipped, missed or unknown. None until
            then.
        reason: Why it did not succeed, for people.
        attempts: How often the function was called.
        progress: The latest reported fraction, from 0 to 1; None if the function has reported none.
        progress_text: The text reported with it.
        result: The return value of the function.
    """

    id: str
    number: int
    occurrence: OccurrenceId
    app: str
    state: OccurrenceState
    outcome: Outcome | None
    reason: str | None
    attempts: int
    progress: float | None
    progress_text: str | None
    result: Any
