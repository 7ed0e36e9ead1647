"""The agenda: for each job, up to where its fire times are collected; for each T, the due occurrences that wait for it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import structlog

from scheduler.daemon.late import scheduled, settle_late
from scheduler.daemon.undecided import Undecided
from scheduler.model.batch import Decided, Due
from scheduler.model.definitions import Definitions
from scheduler.outcome import Origin, Outcome
from scheduler.schedule import canonical
from scheduler.schedule.fire_times import after

log = structlog.get_logger()


class Agenda:
    """
    Not thread-safe: the planner's lock guards it.

    Each fire time is collected once, in order. From then on it is in `undecided` until its row is durable. If nothing collects
    a fire time, the next `collect` of that job does, or the next `replan`.

    Args:
        definitions: The definitions in force.
        after: For each scheduled job, the fire time up to which all are decided.
        undecided: Shared with all who make rows durable.
        dues: Due occurrences that an earlier process has left.

    Attributes:
        collected: For each job, the fire time up to which all are collected.
        waiting: The due occurrences of each T.
        touched: Each T to which `collect` has added something; the planner empties it.
    """

    def __init__(
        self, definitions: Definitions, after: Mapping[str, int], *, undecided: Undecided, dues: Iterable[Due] = ()
    ) -> None:
        self.definitions = definitions
        self.collected = dict(after)
        self.waiting: defaultdict[int, list[Due]] = defaultdict(list)
        self.touched: set[int] = set()
        self._undecided = undecided
        self._behind: set[str] = set()  #: jobs whose last collection raised
        self._written: defaultdict[str, set[int]] = defaultdict(set)  #: claimed by an earlier process, for each job
        for due in dues:
            self.add(due)

    def add(self, due: Due) -> None:
        """Let an occurrence wait for its T."""
        if due.origin is Origin.SCHEDULE and due.is_written:
            self._written[due.id.job].add(due.id.fire_time_ns)
        elif due.origin is Origin.SCHEDULE:
            self._undecided.add([due.id])
        self.waiting[due.planned_at_ns].append(due)

    def collect(self, name: str, *, until_ns: int, now_ns: int) -> Sequence[Decided]:
        """
        Collect the fire times of a job up to and including `until_ns`. If that raises, the next fire time ends as `failed`, so
        that the others can be collected.

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

    def behind_ns(self) -> int | None:
        """Return the fire time up to which all jobs are collected whose last collection raised; None if there is no such job."""
        return min((self.collected[name] for name in self._behind & self.collected.keys()), default=None)

    def _collect(self, name: str, *, until_ns: int, now_ns: int) -> Sequence[Decided]:
        job, version = self.definitions.jobs[name], self.definitions.version
        found: list[int] = []
        decided: Sequence[Decided] = ()
        written = self._written[name]
        at_ns = after(job.schedule, self.collected[name])
        if at_ns is not None and at_ns <= (past_ns := min(now_ns, until_ns)):
            covered = ((written_ns, written_ns) for written_ns in written)
            late = settle_late(job, after_ns=self.collected[name], now_ns=past_ns, version=version, covered=covered)
            decided = late.decided
            found += [late.runs] if late.runs is not None else []
            at_ns = after(job.schedule, past_ns)
        while at_ns is not None and at_ns <= until_ns:
            if at_ns not in written:
                found.append(at_ns)
            at_ns = after(job.schedule, at_ns)
        # Nothing above has changed anything: a job that breaks there can be tried again.
        self._undecided.add(one.id for one in decided)
        for at_ns in found:
            self.add(scheduled(job, at_ns, version=version))
        self.touched.update(found)
        self.collected[name] = max(self.collected[name], until_ns)
        self._written[name] = {written_ns for written_ns in written if written_ns > until_ns}
        return decided

    def _fail(self, name: str, error: Exception, *, until_ns: int) -> Sequence[Decided]:
        job = self.definitions.jobs[name]
        try:
            at_ns = after(job.schedule, self.collected[name])
        except Exception:
            log.exception("the next fire time of a job cannot be computed", job=name)
            return ()
        if at_ns is None or at_ns > until_ns:
            return ()
        why = f"definition, not sent: it could not be planned ({type(error).__name__})"
        failed = scheduled(job, at_ns, version=self.definitions.version).ends(Outcome.FAILED, why)
        self._undecided.add([failed.id])
        self.collected[name] = at_ns
        return [failed]

    def replan(self, definitions: Definitions, after: Mapping[str, int], *, now_ns: int) -> Sequence[Decided]:
        """
        Take other definitions.

        What waits under a schedule that stays runs by the new definition. Of a schedule that ends now, what is due by now still
        counts, by the old definition; what was to come does not.

        Returns:
            What was due by now under a schedule that ends, and does not run.
        """
        kept = {name for name in after if self._has_schedule(name, definitions)}
        decided = [one for name in self.collected.keys() - kept for one in self.collect(name, until_ns=now_ns, now_ns=now_ns)]
        waiting, self.waiting = self.waiting, defaultdict(list)
        for planned_at_ns, dues in waiting.items():
            for due in dues:
                name = due.id.job
                if due.origin is not Origin.SCHEDULE or due.is_written:
                    self.waiting[planned_at_ns].append(due)
                elif name in kept:
                    job = definitions.jobs[name]
                    renewed = replace(due, job=job, config_version=definitions.version, params=job.params)
                    self.waiting[planned_at_ns].append(renewed)
                elif due.id.fire_time_ns <= now_ns:  # also by a schedule that has ended before
                    self.waiting[planned_at_ns].append(due)
                else:
                    self._undecided.discard([due.id])
        self.definitions = definitions
        self.collected = {name: self.collected[name] if name in kept else after_ns for name, after_ns in after.items()}
        return decided

    def _has_schedule(self, name: str, definitions: Definitions) -> bool:
        """Whether the job has had the schedule that it has by other definitions."""
        if name not in self.collected:
            return False
        before, now = self.definitions.jobs[name].schedule, definitions.jobs[name].schedule
        return before == now or canonical.to_text(before) == canonical.to_text(now)

    def take(self, planned_at_ns: int) -> list[Due]:
        """Remove and return the due occurrences of this T, each once: if there are two, the one that has a row."""
        dues = self.waiting.pop(planned_at_ns)
        return list({due.id: due for due in sorted(dues, key=lambda due: due.is_written)}.values())
