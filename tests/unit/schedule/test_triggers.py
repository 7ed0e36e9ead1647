"""Our trigger: run times are fire times, a constant lead earlier."""

from collections.abc import Iterator
from datetime import UTC, datetime
from queue import Queue
from typing import Any

import pytest
from apscheduler.executors.base import BaseExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler

from tests.support.moments import PATIENCE_S
from tminus.clock import SystemClock
from tminus.instants import SECOND, parse_rfc3339, to_datetime, to_ns
from tminus.model.job import Cron, Every, Once, Schedule
from tminus.schedule.triggers import ScheduleTrigger

NOW = parse_rfc3339("2026-11-20T11:29:00Z")
LEAD = 10 * SECOND


def trigger(schedule: Schedule, *, after_ns: int = NOW, lead_ns: int = LEAD) -> ScheduleTrigger:
    return ScheduleTrigger(schedule, lead_ns=lead_ns, after_ns=after_ns)


def run_times(of: ScheduleTrigger, number: int) -> list[datetime]:
    found: list[datetime] = []
    while (
        len(found) < number
        and (at := of.get_next_fire_time(found[-1] if found else None, to_datetime(NOW))) is not None
    ):
        found.append(at)
    return found


def test_a_run_time_is_a_fire_time_minus_the_lead_in_utc() -> None:
    daily = trigger((Cron("30 12 * * *", "Europe/Berlin"),))
    assert run_times(daily, 2) == [datetime(2026, 11, day, 11, 29, 50, tzinfo=UTC) for day in (20, 21)]
    assert run_times(daily, 1)[0].tzinfo is UTC


def test_the_first_fire_time_is_strictly_after_what_is_decided() -> None:
    at = NOW + 60 * SECOND
    assert run_times(trigger((Once(at),), after_ns=at - 1), 2) == [to_datetime(at - LEAD)]
    assert run_times(trigger((Once(at),), after_ns=at), 2) == []


def test_the_first_fire_time_may_be_past_already() -> None:
    late = trigger((Every(SECOND),), after_ns=NOW - 3 * SECOND, lead_ns=0)
    assert run_times(late, 2) == [to_datetime(NOW - 2 * SECOND), to_datetime(NOW + SECOND)]


def test_the_trigger_jumps_over_ten_years_of_overdue_fire_times() -> None:
    every = trigger((Every(SECOND),))
    stale = every.get_next_fire_time(None, to_datetime(NOW))
    later = NOW + 10 * 365 * 86_400 * SECOND
    assert every.get_next_fire_time(stale, to_datetime(later)) == to_datetime(later + SECOND - LEAD)


def test_a_trigger_that_has_yielded_all_ends() -> None:
    assert len(run_times(trigger((Once(NOW + SECOND), Once(NOW + 2 * SECOND))), 9)) == 2
    assert run_times(trigger(()), 1) == []


@pytest.mark.parametrize("lead_ns", [-1_000, 1, 1_500])
def test_a_lead_is_whole_microseconds(lead_ns: int) -> None:
    with pytest.raises(ValueError, match=f"a lead is a whole number of microseconds, not {lead_ns} ns"):
        trigger((), lead_ns=lead_ns)


class Recorder(BaseExecutor):  # type: ignore[misc]  # APScheduler has no types
    """An executor that only writes down what it is handed."""

    def __init__(self) -> None:
        super().__init__()
        self.handed: Queue[datetime] = Queue()

    def submit_job(self, _job: Any, run_times: list[datetime]) -> None:
        for run_time in run_times:
            self.handed.put(run_time)

    def _do_submit_job(self, _job: Any, _run_times: list[datetime]) -> None:
        raise AssertionError("submit_job is overridden")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def scheduler(recorder: Recorder) -> Iterator[BackgroundScheduler]:
    scheduler = BackgroundScheduler(
        timezone=UTC, jobstores={"default": MemoryJobStore()}, executors={"default": recorder}, daemon=False
    )
    yield scheduler
    scheduler.shutdown(wait=True)


def test_apscheduler_hands_over_every_second_although_all_are_shifted(
    scheduler: BackgroundScheduler, recorder: Recorder
) -> None:
    start = SystemClock().wall_ns() // SECOND * SECOND
    every = trigger((Every(SECOND),), after_ns=start)
    scheduler.add_job(print, every, misfire_grace_time=None, coalesce=False)
    scheduler.start()
    # Ten fire times are within the lead at once, the others come one by one.
    handed = [to_ns(recorder.handed.get(timeout=PATIENCE_S)) + LEAD for _ in range(12)]
    assert handed == [start + second * SECOND for second in range(1, 13)]
