"""
The planner: APScheduler wakes before T and hands over what is due; what is due at the same T becomes one batch.

One APScheduler job for each of ours, its trigger shifted by one constant, the longest lead. An executor plug-in collects
what is handed over; the batch is closed by the clock, its own lead before T, or at once where that is past.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from apscheduler.events import EVENT_JOB_SUBMITTED
from apscheduler.executors.base import BaseExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler

from scheduler.clock import Clock
from scheduler.daemon.late import scheduled, settle_late
from scheduler.instants import SECOND
from scheduler.model.batch import Decided, Due
from scheduler.model.definitions import Definitions
from scheduler.model.job import Job
from scheduler.outcome import Origin
from scheduler.policies.lead import LONGEST_NS, Lead
from scheduler.schedule.triggers import ScheduleTrigger

log = structlog.get_logger()

#: Between two looks at the clock; a step of it is noticed within this.
_LOOK_S = 0.25
#: A pass of APScheduler that has not said that it is over by then is over.
_PASS_NS = 2 * SECOND


class Planner:
    """
    Thread-safe.

    Args:
        launch: Takes a closed batch: its T and its dues.
        decided: Takes what ends unstarted.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        launch: Callable[[int, Sequence[Due]], None],
        decided: Callable[[Decided], None],
    ) -> None:
        self._clock = clock
        self._lead = Lead()
        self._launch = launch
        self._decided = decided
        self._changed = threading.Condition()
        self._open: defaultdict[int, list[Due]] = defaultdict(list)
        self._touched: dict[int, int] = {}
        self._closed_until: dict[str, int] = {}
        self._scheduler: BackgroundScheduler | None = None
        self._stopping = False
        self._looked_at_ns = clock.monotonic_ns()
        self._closer = threading.Thread(target=self._close_batches, name="planner", daemon=True)

    def start(self, definitions: Definitions, after: Mapping[str, int]) -> None:
        """
        Begin.

        Args:
            definitions: Those in force.
            after: For each scheduled job, the instant up to which all its fire times are decided.
        """
        self._plan(definitions, after)
        self._closer.start()

    def replan(self, definitions: Definitions, after: Mapping[str, int]) -> None:
        """
        Take other definitions between two batches: what is closed keeps its own, what is only collected is collected anew.

        Args:
            definitions: The new ones.
            after: As for `start`; what has been closed counts as decided, too.
        """
        self._end_scheduler()
        with self._changed:
            for planned_at_ns, dues in list(self._open.items()):
                self._open[planned_at_ns] = [due for due in dues if due.is_written]
            for job in self._closed_until.keys() - _with_same_schedule(self._definitions, definitions):
                del self._closed_until[job]  # that was another schedule
            known = {job: max(at, self._closed_until.get(job, at)) for job, at in after.items()}
        self._plan(definitions, known)

    def add(self, dues: Iterable[Due]) -> None:
        """Take in occurrences that the ledger has already."""
        with self._changed:
            for due in dues:
                self._open[due.planned_at_ns].append(due)
            self._changed.notify_all()

    def learn(self, *, jobs: int, claim_and_arm_ns: int) -> None:
        """A batch has been measured."""
        with self._changed:
            self._lead.learn(jobs=jobs, claim_and_arm_ns=claim_and_arm_ns)

    def lead_ns(self, jobs: int) -> int:
        """The lead that so many jobs need."""
        with self._changed:
            return self._lead.for_batch(jobs)

    def wake(self) -> None:
        """The wall clock was set: look what is due by it."""
        if self._scheduler is not None:
            self._scheduler.wakeup()

    def is_well(self) -> bool:
        """Whether batches are being closed."""
        alive = self._closer.is_alive() and self._clock.monotonic_ns() - self._looked_at_ns < 5 * SECOND
        return alive and self._scheduler is not None and self._scheduler.running

    def stop(self) -> None:
        """Close no further batch; what is only collected is left for the next start."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._closer.join()
        self._end_scheduler()

    def collect(self, job: Job, version: str, fire_times: Sequence[int]) -> None:
        """A job is due; on APScheduler's thread."""
        now_ns = self._clock.wall_ns()
        coming = [instant for instant in fire_times if instant > now_ns]
        if fire_times[0] <= now_ns:
            late = settle_late(job, after_ns=fire_times[0] - 1, now_ns=now_ns, version=version)
            for decided in late.decided:
                self._decided(decided)
            coming += [late.runs] if late.runs is not None else []
        with self._changed:
            for instant in coming:
                self._open[instant].append(scheduled(job, instant, version=version))
                self._touched.setdefault(instant, self._clock.monotonic_ns())

    def pass_is_over(self) -> None:
        """APScheduler has handed over all that is due now."""
        with self._changed:
            self._touched.clear()
            self._changed.notify_all()

    def _plan(self, definitions: Definitions, after: Mapping[str, int]) -> None:
        self._definitions = definitions
        self._lead.fixed_ns = definitions.daemon.lead_ns
        plug_in = _Collector(self, definitions)
        aps = BackgroundScheduler(timezone=UTC, jobstores={"default": MemoryJobStore()}, executors={"default": plug_in})
        aps.add_listener(plug_in.pass_is_over, EVENT_JOB_SUBMITTED)
        for name, after_ns in after.items():
            trigger = ScheduleTrigger(definitions.jobs[name].schedule, lead_ns=LONGEST_NS, after_ns=after_ns)
            # coalesce would hand over one of ten future fire times; a grace would drop what is late without a word.
            aps.add_job(_never_called, trigger, id=name, coalesce=False, misfire_grace_time=None)
        self._scheduler = aps
        aps.start()

    def _end_scheduler(self) -> None:
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=True)

    def _close_batches(self) -> None:
        while True:
            with self._changed:
                ripe = {at: self._open.pop(at) for at in self._ripe()}
                for dues in ripe.values():
                    for due in dues:
                        if due.origin is Origin.SCHEDULE:
                            name = due.job.name
                            self._closed_until[name] = max(self._closed_until.get(name, 0), due.id.fire_time_ns)
                if not ripe:
                    if self._stopping:
                        return
                    self._looked_at_ns = self._clock.monotonic_ns()
                    self._changed.wait(self._until_next_s())
            for planned_at_ns, dues in sorted(ripe.items()):
                if dues:
                    self._launch(planned_at_ns, _each_once(dues))

    def _ripe(self) -> list[int]:
        if self._stopping:
            return []
        now_ns, monotonic_ns = self._clock.wall_ns(), self._clock.monotonic_ns()
        near = [at for at, dues in self._open.items() if at - self._lead.for_batch(len(dues)) <= now_ns]
        # In the order of T, though a large batch is near before a small one: up to the last one closed all counts as decided.
        return [
            at for at in self._open if at <= max(near, default=0) and monotonic_ns - self._touched.get(at, -_PASS_NS) >= _PASS_NS
        ]

    def _until_next_s(self) -> float:
        now_ns = self._clock.wall_ns()
        waits = (at - self._lead.for_batch(len(dues)) - now_ns for at, dues in self._open.items())
        return min(max(min(waits, default=SECOND) / SECOND, 0.001), _LOOK_S)


def _each_once(dues: Iterable[Due]) -> list[Due]:
    """After a restart by another schedule the ledger may have what is planned anew: what is written stands."""
    return list({due.id: due for due in sorted(dues, key=lambda due: due.is_written)}.values())


def _with_same_schedule(before: Definitions, now: Definitions) -> set[str]:
    return {name for name, job in before.jobs.items() if name in now.jobs and now.jobs[name].schedule == job.schedule}


class _Collector(BaseExecutor):  # type: ignore[misc]  # APScheduler has no types
    """APScheduler's executor plug-in: executes nothing, and knows none of APScheduler's limits."""

    def __init__(self, planner: Planner, definitions: Definitions) -> None:
        super().__init__()
        self._planner = planner
        self._definitions = definitions

    def submit_job(self, job: Any, run_times: Sequence[datetime]) -> None:
        try:
            fire_times = [job.trigger.fire_time_ns(run_time) for run_time in run_times]
            self._planner.collect(self._definitions.jobs[job.id], self._definitions.version, fire_times)
        except Exception:
            # APScheduler would log that in its own words, and go on to the next fire time.
            log.exception("a job could not be collected", job=job.id)

    def pass_is_over(self, _event: Any) -> None:
        self._planner.pass_is_over()

    def _do_submit_job(self, job: Any, run_times: Sequence[datetime]) -> None:
        raise NotImplementedError("submit_job is ours")


def _never_called() -> None:
    """APScheduler wants a callable; what is due goes through the plug-in."""
