"""Admission: which occurrences of a batch this process owns, and which of them start."""

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

import structlog

from tminus.daemon.batches.batch_results import BatchResults
from tminus.daemon.ledger_retry import GivenUp, retry_until
from tminus.daemon.runtime import Runtime
from tminus.instants import rfc3339
from tminus.ledger import claims
from tminus.ledger.rows import new_row
from tminus.model.batch import BatchClaim, DueOccurrence, HeldBack, UnstartedResult
from tminus.model.definitions import Definitions
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import Outcome
from tminus.policies.misfire import is_misfire
from tminus.policies.overlap import REASON, Overlap, OverlapDecision
from tminus.policies.pause import Pause

log = structlog.get_logger()

Result = TypeVar("Result")

_LEDGER_RETRY_S = 0.2
DELETED = "the job was deleted from the jobs file"
NOT_SCHEDULED = "the job has no schedule any more"


class Admission:
    """
    The two durable steps of a batch before its T: the claim and the commit. Both are retried while there is
    time. Belongs to the thread of the countdown.

    Args:
        results: Takes the outcomes of occurrences that do not start.
        planned_at_ns: T, wall clock.
        due_occurrences: The due occurrences of the batch.
        stop: Set when this process is to end.

    Attributes:
        last_start_ns: The last instant at which an occurrence of the batch may start.
    """

    def __init__(
        self,
        runtime: Runtime,
        results: BatchResults,
        *,
        planned_at_ns: int,
        due_occurrences: Sequence[DueOccurrence],
        stop: threading.Event,
    ) -> None:
        self.last_start_ns = max(due.latest_start_ns for due in due_occurrences)
        self._runtime = runtime
        self._clock = runtime.clock
        self._results = results
        self._planned_at_ns = planned_at_ns
        self._due_occurrences = due_occurrences
        self._stop = stop
        self._token = uuid.uuid4().hex

    def is_too_late(self) -> bool:
        """Whether no occurrence of the batch may start any more."""
        return is_misfire(now_ns=self._clock.wall_ns(), latest_start_ns=self.last_start_ns)

    def claim(self) -> BatchClaim | None:
        """
        Claim the batch: only an occurrence with a row is released. Return None if it could not be claimed in
        time, or before this process ends.
        """
        try:
            claimed = self._retry(lambda: self._claim(self._due_occurrences))
        except Exception:
            log.exception(
                "a batch cannot be claimed, leaving out what breaks it",
                planned_at=rfc3339(self._planned_at_ns),
            )
            for due in self._due_occurrences:
                with self._results.guard("claiming", due):
                    new_row(due)  # raises for one that breaks the claim
            claimable = [due for due in self._due_occurrences if self._results.is_open(due)]
            claimed = self._retry(lambda: self._claim(claimable))
        if claimed is not None:
            self._results.keep(claimed.claimed)
        elif not self._stop.is_set():
            self._results.missed(self._due_occurrences, "the ledger could not be written in time")
        return claimed

    def decide(self, outstanding: Iterable[DueOccurrence]) -> tuple[list[UnstartedResult], list[HeldBack]]:
        """
        Return which of these do not start, and which wait for room. That is decided at the commit, because
        only what runs then counts.
        """
        decided: list[UnstartedResult] = []
        held_back: list[HeldBack] = []
        for due in outstanding:
            if reason := self._results.cancelled.get(due.id):
                decided.append(due.ends(Outcome.CANCELLED, reason))
                continue
            with self._results.guard("admission", due):
                match admit(self._runtime, due):
                    case HeldBack() as waits:
                        held_back.append(waits)
                    case UnstartedResult() as result:
                        decided.append(result)
        return decided, held_back

    def commit(
        self, claim: BatchClaim, decided: Sequence[UnstartedResult], held_back: Sequence[HeldBack]
    ) -> frozenset[OccurrenceId] | None:
        """
        Write the commit, with the occurrences that were decided not to start, and those that wait for room.

        Returns:
            The occurrences that may start; None if the commit could not be written in time, or before this
            process ends.
        """
        try:
            return self._retry(lambda: self._commit(claim, decided, held_back))
        except Exception:
            if not decided:
                raise
            log.exception(
                "decisions of a batch cannot be written with its commit",
                planned_at=rfc3339(self._planned_at_ns),
            )
            self._results.not_committed(decided)
            return self._retry(lambda: self._commit(claim, (), held_back))

    def put_back(self, claim: BatchClaim, due_occurrences: Sequence[DueOccurrence]) -> None:
        """
        Have occurrences that were not sent wait for their T again, because the wall clock was set back to
        long before it. If the ledger cannot be written before this process ends, the next start decides.
        """
        with suppress(GivenUp):
            retry_until(
                self._stop,
                lambda: claims.put_back(self._runtime.ledger, claim, due_occurrences),
                pause_s=_LEDGER_RETRY_S,
                planned_at=rfc3339(self._planned_at_ns),
            )
            self._results.put_back(due_occurrences)
            self._runtime.on_put_back([replace(due, is_written=True) for due in due_occurrences])

    def _claim(self, due_occurrences: Sequence[DueOccurrence]) -> BatchClaim:
        # Afterwards each of them has a row, of this process or of another one. If this raises, the claim may
        # be durable nevertheless; a further call with the same token finds it.
        claimed = claims.claim(
            self._runtime.ledger,
            due_occurrences,
            planned_at_ns=self._planned_at_ns,
            instance=self._runtime.instance,
            token=self._token,
        )
        self._runtime.recorder.undecided.discard(due.id for due in due_occurrences)
        return claimed

    def _commit(
        self, claim: BatchClaim, decided: Sequence[UnstartedResult], held_back: Sequence[HeldBack]
    ) -> frozenset[OccurrenceId]:
        ids, now_ns = [one.due.id for one in held_back], self._clock.wall_ns()
        return claims.commit(self._runtime.ledger, claim, withdrawn=decided, held_back=ids, now_ns=now_ns)

    def _retry(self, action: Callable[[], Result]) -> Result | None:
        try:
            return retry_until(
                self._stop,
                action,
                pause_s=_LEDGER_RETRY_S,
                is_too_late=self.is_too_late,
                planned_at=rfc3339(self._planned_at_ns),
            )
        except GivenUp:
            return None


def cancelled_by(definitions: Definitions, due: DueOccurrence) -> UnstartedResult | None:
    """Return the outcome of an occurrence that the definitions in force do not start; None if they do."""
    job = definitions.jobs.get(due.job.name)
    if job is None:
        return due.ends(Outcome.CANCELLED, DELETED)
    if due.origin.is_by_schedule and not job.schedule:
        return due.ends(Outcome.CANCELLED, NOT_SCHEDULED)
    return None


def split_suspended(
    due_occurrences: Sequence[DueOccurrence], suspensions: Mapping[str, Pause]
) -> tuple[Sequence[DueOccurrence], Sequence[UnstartedResult]]:
    """
    Return the occurrences whose jobs are not suspended, and the outcomes of the others. A suspension stops
    what a schedule starts; further attempts are made.
    """
    if not suspensions:
        return due_occurrences, ()
    suspended = {
        due.id: due.ends(Outcome.SKIPPED, str(suspensions[due.id.job]))
        for due in due_occurrences
        if due.id.job in suspensions and due.origin.is_by_schedule and not due.previous
    }
    return [due for due in due_occurrences if due.id not in suspended], list(suspended.values())


def admit(runtime: Runtime, due: DueOccurrence) -> UnstartedResult | HeldBack | None:
    """
    Decide whether an occurrence may start, and have the overlap policy count it, except for a further
    attempt: that is in flight since the first one.

    Returns:
        None if it may start, its outcome if it may not, or that it waits for room.
    """
    if due.origin.is_by_schedule and due.job.name not in runtime.definitions.jobs:
        return due.ends(Outcome.CANCELLED, DELETED)
    if due.previous:
        return None
    key = {"fire_time_ns": due.id.fire_time_ns, "planned_at_ns": due.planned_at_ns}
    if due.origin.is_by_schedule and (why := runtime.withheld.why(due.job.name, **key)):
        return due.ends(Outcome.SKIPPED, why)
    return _decide_overlap(runtime, due)


def _decide_overlap(runtime: Runtime, due: DueOccurrence) -> UnstartedResult | HeldBack | None:
    decision, other, cancels = runtime.in_flight.admit(due)
    if decision in (OverlapDecision.WAIT, OverlapDecision.CANCEL):
        return HeldBack(due, cancels)
    if decision is OverlapDecision.START:
        return None
    limit = f"max_instances {due.job.max_instances}"
    if other is None or due.job.overlap is Overlap.BUFFER_ONE:
        why = f"{REASON}an earlier occurrence waits already ({due.job.overlap}, {limit})"
        return due.ends(Outcome.SKIPPED, why)
    # The commit comes before T: an occurrence that is committed may be about to start.
    is_early = runtime.clock.wall_ns() < other.planned_at_ns
    state = f"is to start at {rfc3339(other.planned_at_ns)}" if is_early else "is still running"
    return due.ends(Outcome.SKIPPED, f"{REASON}{other.id} {state} ({limit})")
