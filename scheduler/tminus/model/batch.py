"""A batch: all occurrences with the same T, from due to decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tminus.model.background import BackgroundRun
from tminus.model.chain import Failure, Link, Value
from tminus.model.job import Job
from tminus.model.occurrence import Attempt, OccurrenceId, RunCause
from tminus.outcome import FAILED_RUNS, UNRESOLVED, Origin, Outcome
from tminus.policies.catch_up import runs_back_ns
from tminus.policies.misfire import latest_start_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class DueOccurrence:
    """An occurrence that is due. It is claimed and run by the definition under which it became due."""

    id: OccurrenceId
    job: Job
    planned_at_ns: int
    origin: Origin
    config_version: str
    params: Mapping[str, Any] = field(default_factory=dict)
    cause: RunCause | None = None  #: the occurrence whose chain has started it
    is_written: bool = False  #: whether the ledger has it already: queued, or claimed before a restart
    room_at_ns: int | None = None  #: when its job had room for it; None if it has not waited for that
    previous: Attempt | None = None  #: the attempt that failed before this one
    retry_at_ns: int | None = None  #: when the attempt after `previous` is due
    not_after_ns: int | None = None  #: the last instant at which the `not_after` of its job lets it start

    @property
    def attempt(self) -> int:
        """The number of the attempt that is due; 1 for the first one."""
        return self.previous.attempt + 1 if self.previous else 1

    @property
    def release_at_ns(self) -> int:
        """
        T of its batch: its planned start, when its job had room for it, or the due time of a further attempt.
        """
        if self.retry_at_ns is not None:
            return self.retry_at_ns
        return self.planned_at_ns if self.room_at_ns is None else self.room_at_ns

    @property
    def waits_for_room(self) -> bool:
        """Whether it starts as soon as its job has room, and not at a T."""
        return self.room_at_ns is not None and self.previous is None

    @property
    def latest_start_ns(self) -> int:
        """
        The last instant at which it may start, wall clock; later it is `missed`. A catch-up may start for its
        whole catch-up window after T, so that it is not `missed` on a busy machine.
        """
        grace_ns = self.job.misfire_grace_ns
        if self.origin is Origin.CATCH_UP:
            grace_ns = runs_back_ns(grace_ns=grace_ns, window_ns=self.job.catch_up.window_ns)
        latest_ns = latest_start_ns(planned_at_ns=self.release_at_ns, grace_ns=grace_ns)
        return latest_ns if self.not_after_ns is None else min(latest_ns, self.not_after_ns)

    @property
    def then(self) -> tuple[Link, ...]:
        """The chain that follows a run of its job."""
        return self.job.then

    def ends(
        self, outcome: Outcome, reason: str, *, count: int = 1, covers_until_ns: int | None = None
    ) -> "UnstartedResult":
        """
        Return the result of this occurrence, which is not started. If the outcome is a failure, its chain
        begins with that failure. If a further attempt is too late, the outcome is that of the attempt before.
        """
        kind: str = outcome
        if self.previous and outcome is Outcome.MISSED:
            outcome = self.previous.outcome
            # The reason is `CAUSE: TEXT` or `CAUSE, not sent: TEXT`.
            kind = (self.previous.reason or outcome).partition(":")[0].partition(",")[0]
            reason = f"{self.previous.reason}; attempt {self.attempt} was not made: {reason}"
        failure = Failure(outcome=outcome, kind=kind, message=reason)
        return UnstartedResult(
            id=self.id,
            planned_at_ns=self.planned_at_ns,
            origin=self.origin,
            config_version=self.config_version,
            outcome=outcome,
            reason=reason,
            count=count,
            covers_until_ns=covers_until_ns,
            chain=self.chain(failure) if outcome in (*FAILED_RUNS, *UNRESOLVED) else None,
        )

    def chain(self, value: Value) -> "ChainStart | None":
        """Return the beginning of its chain with this value; None if it has no chain."""
        return ChainStart.after(self, value)


#: A run that a chain may follow.
AnyRun = DueOccurrence | BackgroundRun


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainStart:
    """
    The beginning of a chain.

    Attributes:
        links: The texts of its links, first to last.
        value: What flows into its first link.
        run: The run that it follows; None if the beginning was read from a journal.
    """

    links: tuple[str, ...]
    value: Value
    run: AnyRun | None = None

    @classmethod
    def after(cls, run: AnyRun, value: Value) -> "ChainStart | None":
        """Return the beginning of the chain that follows this run; None if it has no chain."""
        links = tuple(str(link) for link in run.then)
        return cls(links=links, value=value, run=run) if links else None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnstartedResult:
    """
    An occurrence that ends without having been started: skipped, missed or cancelled, or failed because it
    could not be planned.

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
    chain: ChainStart | None = None


@dataclass(frozen=True, slots=True)
class HeldBack:
    """An occurrence that does not start at its T: it waits until its job has room."""

    due: DueOccurrence
    cancels: Sequence[DueOccurrence] = ()  #: those that are cancelled to make room for it


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRecord:
    """
    What the ledger stores of an attempt that failed and is followed by another one.

    Attributes:
        attempt: The attempt that failed.
        due_ns: When the next attempt is due, wall clock.
        executor: The executor of the attempt that failed.
    """

    id: OccurrenceId
    attempt: Attempt
    due_ns: int
    executor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledRetry:
    """
    An attempt that failed and is followed by another one.

    Attributes:
        attempt: The attempt that failed.
        due: The occurrence, with its next attempt.
        executor: The executor of the attempt that failed.
    """

    attempt: Attempt
    due: DueOccurrence
    executor: str | None

    @property
    def id(self) -> OccurrenceId:
        return self.due.id

    @property
    def record(self) -> RetryRecord:
        """What the ledger stores of it."""
        return RetryRecord(
            id=self.id, attempt=self.attempt, due_ns=self.due.release_at_ns, executor=self.executor
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OccurrenceResult:
    """
    The end of a claimed occurrence, with its attempts, and the beginning of its chain.

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
    chain: ChainStart | None = None
    is_background: bool = False
    result: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCounts:
    """
    How far the occurrences of a batch are.

    Attributes:
        written: The number that the ledger has.
        claimed: Those of them that are claimed, or further.
        ended: Those of them that have an outcome, or have ended an attempt and wait for another one.
    """

    written: int = 0
    claimed: int = 0
    ended: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchClaim:
    """
    A claim of one process on some occurrences of one T: the row that is committed as `releasing` before T.

    Its number is the fencing token: an occurrence belongs only to the claim that took it last.

    Attributes:
        has_retries: Whether an attempt among them is not the first one.
    """

    number: int
    planned_at_ns: int
    claimed: frozenset[OccurrenceId]
    has_retries: bool = False
