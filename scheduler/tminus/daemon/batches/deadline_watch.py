"""
The deadline watch: which occurrences have not finished by the `finish_by` of their jobs. If a job has
channels, the ledger notes the occurrence, so that they are told.
"""

from collections.abc import Iterator

import structlog

from tminus.daemon.runtime import Runtime
from tminus.instants import SECOND, rfc3339
from tminus.ledger import history, late_finishes
from tminus.model.occurrence import Occurrence, OccurrenceId
from tminus.policies.deadline import is_finish_late
from tminus.schedule.times_of_day import deadline_ns

log = structlog.get_logger()

_LOOK_NS = 2 * SECOND
#: Problems that are named; the log has all of them.
_MOST_NAMED = 5


class DeadlineWatch:
    """The watch for late finishes. Belongs to the thread that asks for the problems."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._next_look_ns = 0
        self._late_finishes: dict[OccurrenceId, str] = {}

    def problems(self) -> list[str]:
        """
        Return the problem of each late finish, for `status`. Log a warning for each new one, and note it.

        Raises:
            LedgerError: the ledger does not work.
        """
        now_ns = self._runtime.clock.monotonic_ns()
        if now_ns >= self._next_look_ns:
            self._next_look_ns = now_ns + _LOOK_NS
            self._look()
        named, rest = list(self._late_finishes.values())[:_MOST_NAMED], len(self._late_finishes) - _MOST_NAMED
        return named + ([f"{rest} more have not finished in time"] if rest > 0 else [])

    def _look(self) -> None:
        found = {row.id: (row, by_ns) for row, by_ns in self._find_late_finishes()}
        new = {identity: one for identity, one in found.items() if identity not in self._late_finishes}
        jobs = self._runtime.definitions.jobs  # a reload may have deleted a job meanwhile
        told = {
            identity: by_ns
            for identity, (_, by_ns) in new.items()
            if (job := jobs.get(identity.job)) and job.notify
        }
        if told:
            late_finishes.note(self._runtime.ledger, told)
        for row, finish_by_ns in new.values():
            log.warning(
                "not finished in time",
                occurrence=str(row.id),
                state=row.state.value,
                finish_by=rfc3339(finish_by_ns),
            )
        self._late_finishes = {
            identity: f"{identity} has not finished by {rfc3339(by_ns)} (finish_by)"
            for identity, (_, by_ns) in found.items()
        }

    def _find_late_finishes(self) -> Iterator[tuple[Occurrence, int]]:
        """Yield the occurrence of each late finish, with its `finish_by`."""
        jobs, now_ns = self._runtime.definitions.jobs, self._runtime.clock.wall_ns()
        if not any(job.finish_by for job in jobs.values()):
            return
        for row in history.unfinished(self._runtime.ledger, background=False, unreadable=lambda _: None):
            job = jobs.get(row.id.job)
            if job is None or not row.origin.is_by_schedule:
                continue
            finish_by_ns = deadline_ns(job.finish_by, row.id.fire_time_ns)
            if finish_by_ns is None:
                continue
            if is_finish_late(finish_by_ns=finish_by_ns, finished_at_ns=row.finished_at_ns, now_ns=now_ns):
                yield row, finish_by_ns
