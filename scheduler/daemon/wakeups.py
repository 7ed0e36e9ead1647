"""
Wake-ups: APScheduler on a thread of its own wakes the planner a constant lead before each fire time.

One APScheduler job per scheduled job. An executor plug-in passes on which job is due, and executes nothing. What a fire time is,
and up to where all are collected, the planner decides: a wake-up that comes late, twice or not at all loses nothing.
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

from scheduler.instants import MS, to_ns
from scheduler.model.job import Schedule
from scheduler.policies.lead import LONGEST_NS
from scheduler.schedule.triggers import TICK_NS, ScheduleTrigger

log = structlog.get_logger()

#: How long before a fire time a job is due here. Most fire times are whole seconds: the half keeps the work of a pass, some
#: milliseconds for a hundred jobs, away from the moment at which another batch starts.
LEAD_NS = LONGEST_NS + 500 * MS
#: A fire time that cannot be computed is tried again after this: within the lead, so that the job may still start on time.
_RETRY = timedelta(seconds=2)
#: APScheduler's loop starts again this long after it broke.
_PAUSE_S = 1.0


class WakeUps:
    """
    Thread-safe.

    Args:
        schedules: The schedule of each job.
        collected: Returns the fire time up to which all of a job are collected.
        due: Called with a job and a fire time: collect all of its fire times up to that one. It must not raise.
        pass_is_over: Called when all that is due now has been passed on.
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
        self._ending = threading.Event()
        self._scheduler = self._make()
        self._thread = threading.Thread(target=self._run, name="planner wake-ups", daemon=True)

    def start(self) -> None:
        """Begin; returns when all jobs are known. Waits for a thread if there is none now: without it no job would start."""
        while not self._has_begun():
            self._ending.wait(_PAUSE_S)
        self._started.wait()

    def end(self) -> None:
        """End; returns when the thread has ended."""
        self._ending.set()
        while self._thread.is_alive():
            with contextlib.suppress(SchedulerNotRunningError):
                self._scheduler.shutdown(wait=True)
            self._thread.join(0.01)

    def wake(self) -> None:
        """Look again what is due: the wall clock was set. What has not begun yet looks by itself when it begins."""
        if self._scheduler.running:
            self._scheduler.wakeup()

    def is_well(self) -> bool:
        """Whether the thread is alive and its loop has not broken."""
        return self._thread.is_alive() and not self._is_broken

    @property
    def first_ns(self) -> int | None:
        """No fire time before this one is left to be passed on; None if that is not known."""
        return self._first_ns

    def _has_begun(self) -> bool:
        try:
            self._thread.start()
        except RuntimeError as error:
            log.error("there is no thread for the planner, trying again", error=str(error))
            return False
        return True

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self._scheduler.start()  # returns when it is shut down
            except Exception:
                log.exception("planning broke, it starts again")
                self._is_broken = True
                self._started.set()
                if not self._ending.wait(_PAUSE_S):
                    self._scheduler = self._make()

    def _make(self) -> BlockingScheduler:
        store, plug_in = _Store(self._begin_pass, self._look_at), _PlugIn(self._pass_on)
        made = BlockingScheduler(timezone=UTC, jobstores={"default": store}, executors={"default": plug_in})
        made.add_listener(lambda _: self._started.set(), EVENT_SCHEDULER_STARTED)
        for name, schedule in self._schedules.items():
            trigger = _Trigger(schedule, lead_ns=LEAD_NS, after_ns=self._collected(name), name=name, unsure=self._unsure)
            # coalesce would pass on one of ten future fire times; a grace would drop what is late without a word.
            made.add_job(_never_called, trigger, id=name, coalesce=False, misfire_grace_time=None)
        return made

    def _pass_on(self, name: str, run_times: Sequence[datetime]) -> None:
        # A run time is cut to its tick: up to the end of the tick lies the fire time that it stands for. What is not later than
        # this pass, the trigger leaves out from now on.
        self._due(name, max(to_ns(run_times[-1]) + TICK_NS - 1, self._pass_ns) + LEAD_NS)

    def _begin_pass(self, now: datetime) -> None:
        self._pass_ns = to_ns(now)

    def _look_at(self, next_run_time: datetime | None) -> None:
        """A pass is over, and this is the next run time of all."""
        if self._ending.is_set():
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

    def __init__(self, schedule: Schedule, *, lead_ns: int, after_ns: int, name: str, unsure: set[str]) -> None:
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
    """A job store that notices passes: each begins with the due jobs and ends with the next run time of all."""

    def __init__(self, begin_pass: Callable[[datetime], None], look_at: Callable[[datetime | None], None]) -> None:
        super().__init__()
        self._begin_pass = begin_pass
        self._look_at = look_at

    def get_due_jobs(self, now: datetime) -> list[Any]:
        self._begin_pass(now)
        found: list[Any] = super().get_due_jobs(now)
        return found

    def get_next_run_time(self) -> datetime | None:
        found: datetime | None = super().get_next_run_time()
        self._look_at(found)
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
