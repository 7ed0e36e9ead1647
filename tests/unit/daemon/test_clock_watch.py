"""The clock watch: a step of the wall clock is noticed, and time that merely passes is not."""

import threading
from collections.abc import Iterator

import pytest

from scheduler.daemon.clock_watch import ClockWatch
from scheduler.instants import MS, SECOND
from tests.support.fake_clock import FakeClock


@pytest.fixture
def stepped(clock: FakeClock) -> Iterator[threading.Semaphore]:
    """Released once for each step that was noticed."""
    noticed = threading.Semaphore(0)
    watch = ClockWatch(clock, stepped=noticed.release)
    watch.start()
    yield noticed
    watch.stop()


@pytest.mark.parametrize("step_ns", [3600 * SECOND, -3600 * SECOND, 300 * MS, -300 * MS])
def test_a_step_wakes_the_planner_once(clock: FakeClock, stepped: threading.Semaphore, step_ns: int) -> None:
    looks_at = threading.Semaphore(0)
    monotonic_ns = clock.monotonic_ns
    clock.monotonic_ns = lambda: looks_at.release() or monotonic_ns()  # type: ignore[method-assign,func-returns-value]
    assert looks_at.acquire(timeout=30)
    clock.step_wall(step_ns)
    assert stepped.acquire(timeout=30)
    for _ in range(2):
        assert looks_at.acquire(timeout=30)
    assert not stepped.acquire(blocking=False)


def test_time_that_passes_is_no_step(clock: FakeClock, stepped: threading.Semaphore) -> None:
    looks_at = threading.Semaphore(0)
    monotonic_ns = clock.monotonic_ns
    clock.monotonic_ns = lambda: looks_at.release() or monotonic_ns()  # type: ignore[method-assign,func-returns-value]
    for _ in range(3):
        assert looks_at.acquire(timeout=30)
    assert not stepped.acquire(blocking=False)
