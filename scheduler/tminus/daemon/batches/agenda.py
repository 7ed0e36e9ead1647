"""
The agenda: the fire time up to which each job is collected, and the due occurrences that wait for each T.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import structlog

from tminus.daemon.attempts.undecided import Undecided
from tminus.daemon.batches.overdue_occurrences import decide_overdue, scheduled
from tminus.model.batch import DueOccurrence, UnstartedResult
from tminus.model.definitions import Definitions
from tminus.outcome import Origin, Outcome
from tminus.schedule import canonical
from tminus.schedule.fire_times import after

log = structlog.get_logger()


class Agenda:
    """
    Not thread-safe: the planner's lock guards it.

    Each fire time is collected once, in order. Afterwards it is in `undecided` until its row is durable. If a
    fire time was not collected, the next `collect` of that job, or the next `replan`, collects it.

    Args:
        definitions: The definitions in force.
        decided_until: For each scheduled job, the fire time up to which all are decided.
        undecided: Shared with the claims and the recorder, which make rows durable.
        due_occurrences: Due occurrences that an earlier process has left.

    Attributes:
        collected: For each job, the fire time up to which all are collected.
        waiting: The due occurrences of each T.
        touched: Each T to which `collect` has added something; the planner empties it.
        backlog: What `collect` has found that waits for room; the planner empties it.
    """

    def __init__(
        self,
        definitions: Definitions,
        decided_until: Mapping[str, int],
        *,
        undecided: Undecided,
        due_occurrences: Iterable[DueOccurrence] = (),
    ) -> None:
        self.definitions = definitions
        self.collected = dict(decided_until)
        self.waiting: defaultdict[int, list[DueOccurrence]] = defaultdict(list)
        self.touched: set[int] = set()
        self.backlog: list[DueOccurrence] = []
        self._undecided = undecided
        self._behind: set[str] = set()  #: jobs whose last collection raised
        #: The fire times of each job that an earlier process has claimed.
        self._written: defaultdict[str, set[int]] = defaultdict(set)
        for due in due_occurrences:
            self.add(due)

    def add(self, due: DueOccurrence) -> None:
        """Let an occurrence wait for its T."""
        if due.origin is Origin.SCHEDULE and due.is_written:
            self._written[due.id.job].add(due.id.fire_time_ns)
        elif due.origin is Origin.SCHEDULE:
            self._undecided.add([due.id])
        self.waiting[due.release_at_ns].append(due)

    def collect(self, name: str, *, until_ns: int, now_ns: int) -> Sequence[UnstartedResult]:
        """
        Collect the fire times of a job up to and including `until_ns`. If this raises inside, the next fire
        time ends as `failed`, so that the others can be collected.

        Returns:
            The fire times that do not run.
        """
        try:
            decided = self._collect(name, until_ns=until_ns, now_ns=now_ns)
        except Exception as error:
            log.exception("a job could not be planned", job=name)
            self._behind.add(name)
            return self._fail(name, error, until_ns=until_ns)
        self._behind.discard(name)
        return decided

    def collected_until_ns(self) -> int | None:
        """
        Return the fire time up to which all jobs whose last collection raised are collected; None if there is
        no such job.
        """
        return min((self.collected[name] for name in self._behind & self.collected.keys()), default=None)

    def _collect(self, name: str, *, until_ns: int, now_ns: int) -> Sequence[UnstartedResult]:
        job, version = self.definitions.jobs[name], self.definitions.version
        found: list[DueOccurrence] = []
        decided: Sequence[UnstartedResult] = ()
        written = self._written[name]
        at_ns = after(job.schedule, self.collected[name])
        if at_ns is not None and at_ns <= (past_ns := min(now_ns, until_ns)):
            covered = ((written_ns, written_ns) for written_ns in written)
            late = decide_overdue(
                job, after_ns=self.collected[name], now_ns=past_ns, version=version, covered=covered
            )
            decided = late.decided
            found += late.runs
            at_ns = after(job.schedule, past_ns)
        while at_ns is not None and at_ns <= until_ns:
            if at_ns not in written:
                found.append(scheduled(job, at_ns, version=version))
            at_ns = after(job.schedule, at_ns)
        # Nothing was changed so far: if the job breaks above, it can be collected again.
        self._undecided.add(result.id for result in decided)
        for due in found:
            if due.room_at_ns is not None:
                self._undecided.add([due.id])
                self.backlog.append(due)
            else:
                self.add(due)
                self.touched.add(due.planned_at_ns)
        self.collected[name] = max(self.collected[name], until_ns)
        self._written[name] = {written_ns for written_ns in written if written_ns > until_ns}
        return decided

    def _fail(self, name: str, error: Exception, *, until_ns: int) -> Sequence[UnstartedResult]:
        job = self.definitions.jobs[name]
        try:
            at_ns = after(job.schedule, self.collected[name])
        except Exception:
            log.exception("the next fire time of a job cannot be computed", job=name)
            return ()
        if at_ns is None or at_ns > until_ns:
            return ()
        reason = f"definition, not sent: it could not be planned ({type(error).__name__})"
        failed = scheduled(job, at_ns, version=self.definitions.version).ends(Outcome.FAILED, reason)
        self._undecided.add([failed.id])
        self.collected[name] = at_ns
        return [failed]

    def replan(
        self, definitions: Definitions, decided_until: Mapping[str, int], *, now_ns: int
    ) -> Sequence[UnstartedResult]:
        """
        Take new definitions.

        If a job keeps its schedule, its waiting occurrences run by the new definition. If its schedule ends,
        the occurrences that are due by now run by the old definition, and later ones are dropped.

        Returns:
            The fire times of ended schedules that were due by now and do not run.
        """
        kept = {name for name in decided_until if self._has_schedule(name, definitions)}
        decided = [
            result
            for name in self.collected.keys() - kept
            for result in self.collect(name, until_ns=now_ns, now_ns=now_ns)
        ]
        waiting, self.waiting = self.waiting, defaultdict(list)
        for release_at_ns, due_occurrences in waiting.items():
            for due in due_occurrences:
                name = due.id.job
                if due.origin is not Origin.SCHEDULE or due.is_written:
                    self.waiting[release_at_ns].append(due)
                elif name in kept:
                    job = definitions.jobs[name]
                    anew = scheduled(job, due.id.fire_time_ns, version=definitions.version)
                    self.waiting[release_at_ns].append(replace(anew, planned_at_ns=due.planned_at_ns))
                elif due.id.fire_time_ns <= now_ns:  # also by a schedule that an earlier reload has ended
                    self.waiting[release_at_ns].append(due)
                else:
                    self._undecided.discard([due.id])
        self.definitions = definitions
        self.collected = {
            name: self.collected[name] if name in kept else until_ns
            for name, until_ns in decided_until.items()
        }
        return decided

    def _has_schedule(self, name: str, definitions: Definitions) -> bool:
        """Whether a job keeps its schedule under these definitions."""
        if name not in self.collected:
            return False
        before, now = self.definitions.jobs[name].schedule, definitions.jobs[name].schedule
        return before == now or canonical.to_text(before) == canonical.to_text(now)

    def take(self, release_at_ns: int) -> list[DueOccurrence]:
        """
        Remove and return the due occurrences of this T, each once. Of two with the same id, return the one
        that has a row.
        """
        due_occurrences = self.waiting.pop(release_at_ns)
        return list({due.id: due for due in sorted(due_occurrences, key=lambda due: due.is_written)}.values())
