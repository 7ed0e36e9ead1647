"""A batch: all occurrences with the same T, from due to decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scheduler.model.chain import Failure, Value
from scheduler.model.job import Job
from scheduler.model.occurrence import Attempt, OccurrenceId
from scheduler.outcome import Origin, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A due occurrence, which is claimed and run by the definition under which it became due."""

    id: OccurrenceId
    job: Job
    planned_at_ns: int
    origin: Origin
    config_version: str
    params: Mapping[str, Any] = field(default_factory=dict)
    is_written: bool = False  #: whether the ledger has it already: queued, or claimed before a restart

    def ends(self, outcome: Outcome, reason: str, *, count: int = 1, covers_until_ns: int | None = None) -> "Decided":
        """Return this occurrence with an outcome, without a start. If it failed or was missed, its chain gets a failure."""
        failure = Failure(outcome=outcome, kind=outcome, message=reason)
        return Decided(
            id=self.id,
            planned_at_ns=self.planned_at_ns,
            origin=self.origin,
            config_version=self.config_version,
            outcome=outcome,
            reason=reason,
            count=count,
            covers_until_ns=covers_until_ns,
            chain=self.chain(failure) if outcome in (Outcome.MISSED, Outcome.FAILED) else None,
        )

    def chain(self, value: Value) -> "Beginning | None":
        """Return the beginning of its chain with this value; None if it has no chain."""
        return Beginning(due=self, value=value) if self.job.then else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """The beginning of a chain: the run that it follows, and what flows into its first link."""

    due: Due
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """
    An occurrence that ends without having been started: skipped, missed or cancelled, or failed because it could not be planned.

    Attributes:
        count: How many fire times the row stands for; `id` is the first of them.
        covers_until_ns: The last of them, or an instant before the next fire time; None if the count is 1.
        chain: The beginning of its chain.
    """

    id: OccurrenceId
    planned_at_ns: int
    origin: Origin
    config_version: str
    outcome: Outcome
    reason: str
    count: int = 1
    covers_until_ns: int | None = None
    chain: Beginning | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """
    How a claimed occurrence ended, with its attempts, and the beginning of its chain.

    Attributes:
        is_background: Whether it is a background run, whose input is removed from the ledger then.
        result: The result of a background run that has succeeded, as JSON.
    """

    id: OccurrenceId
    outcome: Outcome
    reason: str | None
    finished_at_ns: int
    executor: str | None = None
    attempts: Sequence[Attempt] = ()
    chain: Beginning | None = None
    is_background: bool = False
    result: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """
    A claim on some occurrences of one T, by one daemon: the row that is committed as `releasing` before T.

    Its number is the fence: an occurrence belongs to the release that claimed it last, and to no other.
    """

    number: int
    planned_at_ns: int
    claimed: frozenset[OccurrenceId]
