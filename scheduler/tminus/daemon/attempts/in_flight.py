"""
The occurrences that the overlap policy counts: those in flight, from the decision just before their commit
until their outcome, and those that wait for room.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from tminus.model.batch import DueOccurrence
from tminus.model.occurrence import OccurrenceId
from tminus.policies.overlap import OverlapDecision, decide_overlap


class Ruling(NamedTuple):
    """
    The decision on an occurrence.

    Attributes:
        other: Another occurrence of the job that is in flight; None if there is none.
        cancels: The occurrences that are cancelled for it.
    """

    decision: OverlapDecision
    other: DueOccurrence | None
    cancels: Sequence[DueOccurrence] = ()


class InFlight:
    """
    The counted occurrences, by job. Thread-safe: two batches that commit at the same moment see each other.

    Attributes:
        on_end: Called with the id of each occurrence that `end` is called for, counted or not.
    """

    def __init__(self) -> None:
        self.on_end: Callable[[OccurrenceId], None] = lambda _: None
        self._lock = threading.Lock()
        self._in_flight: defaultdict[str, dict[OccurrenceId, DueOccurrence]] = defaultdict(dict)
        self._waiting: defaultdict[str, dict[OccurrenceId, DueOccurrence]] = defaultdict(dict)

    def __len__(self) -> int:
        with self._lock:
            return sum(len(occurrences) for occurrences in self._in_flight.values())

    def find(self, jobs: Collection[str]) -> list[DueOccurrence]:
        """Return the occurrences of these jobs that are in flight."""
        with self._lock:
            return [due for job in jobs if job in self._in_flight for due in self._in_flight[job].values()]

    def admit(self, due: DueOccurrence) -> Ruling:
        """
        Decide on an occurrence by the overlap policy of its job. Count it as in flight if it starts, and as
        waiting if it waits.
        """
        job = due.job
        with self._lock:
            running, waiting = self._in_flight[job.name], self._waiting.get(job.name, {})
            others = [other for identity, other in running.items() if identity != due.id]
            decision = decide_overlap(
                job.overlap,
                running=len(others),
                waiting=len(waiting.keys() - {due.id}),
                max_instances=job.max_instances,
                has_waited=due.room_at_ns is not None,
            )
            if decision is OverlapDecision.START:
                running[due.id] = due
            cancels: Sequence[DueOccurrence] = ()
            if decision is OverlapDecision.CANCEL:
                waiters = [other for identity, other in waiting.items() if identity != due.id]
                cancels = [*others[: max(len(others) - job.max_instances + 1, 0)], *waiters]
            if decision not in (OverlapDecision.WAIT, OverlapDecision.CANCEL):
                waiting.pop(due.id, None)
            elif due.room_at_ns is None:  # one that has waited before has its place
                self._waiting[job.name][due.id] = due
            return Ruling(decision, others[0] if others else None, cancels)

    def ids(self, job: str) -> set[OccurrenceId]:
        """Return the ids of the occurrences of a job that are in flight."""
        with self._lock:
            return set(self._in_flight.get(job, ()))

    def is_counted(self, identity: OccurrenceId) -> bool:
        """Whether an occurrence is in flight, or waits for room."""
        with self._lock:
            by_job = (self._in_flight, self._waiting)
            return any(identity in counted.get(identity.job, ()) for counted in by_job)

    def add_retry(self, due: DueOccurrence) -> None:
        """Count an occurrence of an earlier process as in flight, because its next attempt is to come."""
        with self._lock:
            self._in_flight[due.job.name][due.id] = due

    def add_waiting(self, due: DueOccurrence) -> None:
        """Count an occurrence as waiting for room: one of an earlier process, or one that was put back."""
        with self._lock:
            self._waiting[due.job.name][due.id] = due

    def end(self, identity: OccurrenceId) -> None:
        """Stop counting an occurrence, because it has its outcome, does not start, or is put back."""
        with self._lock:
            for by_job in (self._in_flight, self._waiting):
                if identity.job in by_job:
                    by_job[identity.job].pop(identity, None)
                    if not by_job[identity.job]:
                        del by_job[identity.job]
        self.on_end(identity)
