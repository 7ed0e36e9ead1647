"""The clock watch: a step of the wall clock is noticed, and time that merely passes is not."""

import threading
from collections.abc import Iterator

import pytest

from tests.support.fake_clock import FakeClock
from tests.support.moments import PATIENCE_S
from tminus.daemon.clock_watch import ClockWatch
from tminus.instants import MS, SECOND


@pytest.fixture
def stepped(clock: FakeClock) -> Iterator[threading.Semaphore]:
    """Released once for each step that was noticed."""
    noticed = threading.Semaphore(0)
    watch = ClockWatch(clock, on_step=noticed.release)
    watch.start()
    yield noticed
    watch.stop()


@pytest.mark.parametrize("step_ns", [3600 * SECOND, -3600 * SECOND, 300 * MS, -300 * MS])
def test_a_step_wakes_the_planner_once(clock: FakeClock, stepped: threading.Semaphore, step_ns: int) -> None:
    looks_at = threading.Semaphore(0)
    monotonic_ns = clock.monotonic_ns

    clock.monotonic_ns = lambda: looks_at.release() or monotonic_ns()  # type: ignore[method-assign,func-returns-value]
    assert looks_at.acquire(timeout=PATIENCE_S)
    clock.step_wall(step_ns)
    assert stepped.acquire(timeout=PATIENCE_S)
    for _ in range(2):
        assert looks_at.acquire(timeout=PATIENCE_S)
    assert not stepped.acquire(blocking=False)


def test_time_that_passes_is_no_step(clock: FakeClock, stepped: threading.Semaphore) -> None:
    looks_at = threading.Semaphore(0)
    monotonic_ns = clock.monotonic_ns

    clock.monotonic_ns = lambda: looks_at.release() or monotonic_ns()  # type: ignore[method-assign,func-returns-value]
    for _ in range(3):
        assert looks_at.acquire(timeout=PATIENCE_S)
    assert not stepped.acquire(blocking=False)
