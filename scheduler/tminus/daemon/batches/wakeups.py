"""
Wake-ups: APScheduler, on a thread of its own, wakes the planner a constant lead before each fire time.

There is one APScheduler job per scheduled job. An executor plug-in passes on which job is due, and executes
nothing. The planner decides which fire times there are, and up to which one all are collected. So no fire
time is lost if a wake-up comes late, twice or not at all.
"""

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from apscheduler.events import EVENT_SCHEDULER_STARTED
from apscheduler.executors.base import BaseExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers import SchedulerNotRunningError
from apscheduler.schedulers.blocking import BlockingScheduler

from tminus.daemon.service_thread import ServiceThread
from tminus.instants import MS, to_ns
from tminus.model.job import Schedule
from tminus.policies.lead import LONGEST_NS
from tminus.schedule.triggers import TICK_NS, ScheduleTrigger

log = structlog.get_logger()

#: The time between a wake-up and its fire time. Most fire times are whole seconds. The half second keeps the
#: work of a wake-up, some milliseconds for a hundred jobs, away from the start of another batch.
LEAD_NS = LONGEST_NS + 500 * MS
#: A fire time that cannot be computed is tried again after this: within the lead, so that the job may still
#: start on time.
_RETRY = timedelta(seconds=2)
#: APScheduler's loop starts again this long after it broke.
_PAUSE_S = 1.0


class WakeUps:
    """
    The thread of APScheduler. Thread-safe.

    Args:
        schedules: The schedule of each job.
        collected: Returns the fire time up to which all of a job are collected.
        due: Called with a job and a fire time: collect all of its fire times up to that one. It must not
            raise.
        pass_is_over: Called when APScheduler's loop has passed on all that is due now.
    """

    def __init__(
        self,
        schedules: Mapping[str, Schedule],
        *,
        collected: Callable[[str], int],
        due: Callable[[str, int], None],
        pass_is_over: Callable[[], None],
    ) -> None:
        self._schedules = schedules
        self._collected = collected
        self._due = due
        self._pass_is_over = pass_is_over
        self._unsure: set[str] = set()
        self._first_ns: int | None = None
        self._pass_ns = 0
        self._is_broken = False
        self._started = threading.Event()
        self._scheduler = self._make()
        self._thread = ServiceThread("planner wake-ups", self._run, pause_s=_PAUSE_S)

    def start(self) -> None:
        """
        Start; return when APScheduler has all jobs. If there is no thread now, wait for one: without it no
        job would start.
        """
        while not self._try_start():
            self._thread.stopping.wait(_PAUSE_S)
        self._started.wait()

    def end(self) -> None:
        """Stop, and wait for the end of the thread."""
        self._thread.stopping.set()
        while self._thread.is_alive:
            with contextlib.suppress(SchedulerNotRunningError):
                self._scheduler.shutdown(wait=True)
            self._thread.stop(0.01)

    def wake(self) -> None:
        """
        Check again what is due, because the wall clock was set. Before the start this does nothing, because
        the start checks.
        """
        if self._scheduler.running:
            self._scheduler.wakeup()

    def is_well(self) -> bool:
        """Whether the thread is alive and its loop has not broken."""
        return self._thread.is_alive and not self._is_broken

    @property
    def first_ns(self) -> int | None:
        """The first fire time that was not passed on yet, or an earlier instant; None if it is unknown."""
        return self._first_ns

    def _try_start(self) -> bool:
        try:
            self._thread.start()
        except RuntimeError as error:
            log.error("there is no thread for the planner, trying again", error=str(error))
            return False
        return True

    def _run(self) -> None:
        if self._is_broken:
            self._scheduler = self._make()
        try:
            self._scheduler.start()  # returns when it is shut down
        except Exception:
            self._is_broken = True
            self._started.set()
            raise

    def _make(self) -> BlockingScheduler:
        store, plug_in = _Store(self._begin_pass, self._end_pass), _PlugIn(self._pass_on)
        made = BlockingScheduler(timezone=UTC, jobstores={"default": store}, executors={"default": plug_in})
        made.add_listener(lambda _: self._started.set(), EVENT_SCHEDULER_STARTED)
        for name, schedule in self._schedules.items():
            trigger = _Trigger(
                schedule, lead_ns=LEAD_NS, after_ns=self._collected(name), name=name, unsure=self._unsure
            )
            # APScheduler's `coalesce` and grace time have no effect: only the last run time counts, and the
            # plug-in passes it on however late it is.
            made.add_job(_never_called, trigger, id=name)
        return made

    def _pass_on(self, name: str, run_times: Sequence[datetime]) -> None:
        # APScheduler cuts a run time to its tick, so the fire time may be as late as the end of the tick.
        # After this pass, the trigger yields only run times that are later than the start of this pass.
        self._due(name, max(to_ns(run_times[-1]) + TICK_NS - 1, self._pass_ns) + LEAD_NS)

    def _begin_pass(self, now: datetime) -> None:
        self._pass_ns = to_ns(now)

    def _end_pass(self, next_run_time: datetime | None) -> None:
        """End a pass; `next_run_time` is the earliest of all jobs."""
        if self._thread.stopping.is_set():
            return  # the store has been emptied
        firsts = [self._collected(name) + 1 for name in self._unsure.copy()]
        if next_run_time is not None:
            firsts.append(to_ns(next_run_time) + LEAD_NS)
        self._first_ns = min(firsts, default=_NEVER_NS)
        self._is_broken = False
        self._pass_is_over()


#: Later than any fire time.
_NEVER_NS = 2**63 - 1


class _Trigger(ScheduleTrigger):
    """A trigger that, if it raises, delays its own job alone."""

    __slots__ = ("_name", "_unsure")

    def __init__(
        self, schedule: Schedule, *, lead_ns: int, after_ns: int, name: str, unsure: set[str]
    ) -> None:
        super().__init__(schedule, lead_ns=lead_ns, after_ns=after_ns)
        self._name = name
        self._unsure = unsure

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        try:
            found = super().get_next_fire_time(previous_fire_time, now)
        except Exception:
            log.exception("the next fire time cannot be computed, trying again", job=self._name)
            self._unsure.add(self._name)
            return max(now, previous_fire_time or now) + _RETRY
        self._unsure.discard(self._name)
        return found


class _Store(MemoryJobStore):  # type: ignore[misc]  # APScheduler has no types
    """
    A job store that notices passes: each begins with the due jobs and ends with the next run time of all.
    """

    def __init__(
        self, begin_pass: Callable[[datetime], None], end_pass: Callable[[datetime | None], None]
    ) -> None:
        super().__init__()
        self._begin_pass = begin_pass
        self._end_pass = end_pass

    def get_due_jobs(self, now: datetime) -> list[Any]:
        self._begin_pass(now)
        found: list[Any] = super().get_due_jobs(now)
        return found

    def get_next_run_time(self) -> datetime | None:
        found: datetime | None = super().get_next_run_time()
        self._end_pass(found)
        return found


class _PlugIn(BaseExecutor):  # type: ignore[misc]  # APScheduler has no types
    """APScheduler's executor plug-in: executes nothing, and knows none of APScheduler's limits."""

    def __init__(self, pass_on: Callable[[str, Sequence[datetime]], None]) -> None:
        super().__init__()
        self._pass_on = pass_on

    def submit_job(self, job: Any, run_times: Sequence[datetime]) -> None:
        self._pass_on(job.id, run_times)

    def _do_submit_job(self, job: Any, run_times: Sequence[datetime]) -> None:
        raise NotImplementedError("submit_job is ours")


def _never_called() -> None:
    """APScheduler wants a callable; what is due goes through the plug-in."""
