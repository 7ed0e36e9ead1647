"""
The planner, tick by tick, over a change to daylight saving time and over steps of the wall clock.

All of it is real, APScheduler, too; only the time is that of a clock that is moved by hand.
"""

import dataclasses
import queue
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo

import pytest

from tests.support.fake_clock import FakeClock
from tests.support.scheduling import definitions_of
from tests.support.values import a_job
from tminus.daemon.attempts.undecided import Undecided
from tminus.daemon.batches.planner import Planner
from tminus.instants import SECOND, rfc3339, to_datetime, to_ns
from tminus.model.batch import DueOccurrence, UnstartedResult
from tminus.model.definitions import DaemonSettings
from tminus.model.job import Cron, Job
from tminus.outcome import Outcome

TICK_NS = LEAD_NS = 10 * SECOND
MINUTE_NS = 60 * SECOND


def at(text: str) -> int:
    """An instant in UTC."""
    return to_ns(datetime.fromisoformat(text).replace(tzinfo=UTC))


class PlannedDay:
    """
    A planner whose time is moved by hand.

    Attributes:
        launched: When each batch was closed, its T, and its jobs.
        unstarted: What ended without a start.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = FakeClock()
        self.launched: queue.SimpleQueue[tuple[int, int, list[str]]] = queue.SimpleQueue()
        self.unstarted: list[UnstartedResult] = []
        self._passes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._undecided = Undecided()
        self.planner = Planner(
            clock=self.clock,
            launch=self._launch,
            on_unstarted=self.unstarted.append,
            undecided=self._undecided,
        )
        clock, passes = self.clock, self._passes

        class Now(datetime):
            """What APScheduler asks, once at the beginning of each pass."""

            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                passes.put(None)
                return to_datetime(clock.wall_ns())

        monkeypatch.setattr("apscheduler.schedulers.base.datetime", Now)

    def start(self, start: str, *jobs: Job) -> None:
        """Plan these jobs from then on."""
        self.clock.step_wall(at(start) - self.clock.wall_ns())
        settings = DaemonSettings(lead_ns=LEAD_NS)
        definitions = dataclasses.replace(definitions_of(*jobs), daemon=settings)
        self.planner.start(definitions, {job.name: self.clock.wall_ns() for job in jobs})

    def look(self) -> None:
        """Have two passes begin: the first one is over then, and has seen the time."""
        while not self._passes.empty():
            self._passes.get()
        for _ in range(2):
            self.planner.wake()
            self._passes.get(timeout=30)

    def tick_until(self, end: str, expected: Sequence[tuple[str, list[str]]]) -> None:
        """Let time pass; each of these batches is closed its lead before its T, or at once if that is past."""
        left = [(at(text), names) for text, names in expected]
        while self.clock.wall_ns() < at(end):
            self.clock.pass_by(TICK_NS)
            self.look()
            while left and left[0][0] - LEAD_NS <= self.clock.wall_ns():
                planned_at_ns, names = left.pop(0)
                closed_at_ns, launched_ns, launched = self.launched.get(timeout=30)
                assert (rfc3339(launched_ns), launched) == (rfc3339(planned_at_ns), names)
                assert closed_at_ns == self.clock.wall_ns()
        assert not left
        assert self.launched.empty()

    def _launch(self, planned_at_ns: int, due_occurrences: Sequence[DueOccurrence]) -> None:
        self._undecided.discard(due.id for due in due_occurrences)
        names = sorted(due.job.name for due in due_occurrences)
        self.launched.put((self.clock.wall_ns(), planned_at_ns, names))


@pytest.fixture
def day(monkeypatch: pytest.MonkeyPatch) -> Iterator[PlannedDay]:
    """One that is started by its test."""
    day = PlannedDay(monkeypatch)
    yield day
    day.planner.stop()


NIGHTLY = a_job("nightly", schedule=(Cron("30 2 * * *", "Europe/Berlin"),))
STEADY = a_job("steady", schedule=(Cron("*/20 * * * *", "Europe/Berlin"),))
OFTEN = a_job("often", schedule=(Cron("*/10 * * * *", "UTC"),))


def test_a_time_that_is_left_out_is_right_after_the_gap_and_the_rest_goes_on(day: PlannedDay) -> None:
    day.start("2026-03-29T00:30", NIGHTLY, STEADY)
    both = ("2026-03-29T01:00", ["nightly", "steady"])
    steady = [(f"2026-03-29T{time}", ["steady"]) for time in ("00:40", "01:20", "01:40", "02:00", "02:20")]
    day.tick_until("2026-03-29T02:30", [steady[0], both, *steady[1:]])
    assert not day.unstarted


def test_a_time_that_comes_twice_is_due_once_and_the_rest_goes_on(day: PlannedDay) -> None:
    day.start("2026-10-25T00:10", NIGHTLY, STEADY)
    times = ("00:20", "00:40", "01:00", "01:20", "01:40", "02:00")
    steady = [(f"2026-10-25T{time}", ["steady"]) for time in times]
    day.tick_until("2026-10-25T02:10", [steady[0], ("2026-10-25T00:30", ["nightly"]), *steady[1:]])
    assert not day.unstarted


def test_after_a_step_back_no_fire_time_comes_again(day: PlannedDay) -> None:
    day.start("2026-06-01T12:00", OFTEN)
    day.tick_until("2026-06-01T12:25", [(f"2026-06-01T12:{minute}", ["often"]) for minute in (10, 20)])
    day.clock.step_wall(-20 * MINUTE_NS)
    day.tick_until("2026-06-01T12:45", [(f"2026-06-01T12:{minute}", ["often"]) for minute in (30, 40)])
    assert not day.unstarted


def test_after_a_step_forward_the_last_one_is_late_and_those_before_are_missed(day: PlannedDay) -> None:
    day.start("2026-06-01T12:00", OFTEN)
    day.tick_until("2026-06-01T12:25", [(f"2026-06-01T12:{minute}", ["often"]) for minute in (10, 20)])
    day.clock.step_wall(65 * MINUTE_NS)
    day.tick_until("2026-06-01T13:45", [(f"2026-06-01T13:{minute}", ["often"]) for minute in (30, 40)])
    ((first_ns, outcome, count),) = {(one.id.fire_time_ns, one.outcome, one.count) for one in day.unstarted}
    assert (rfc3339(first_ns), outcome, count) == ("2026-06-01T12:30:00Z", Outcome.MISSED, 6)
