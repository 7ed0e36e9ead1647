"""
The clocks: the real one waits for the wall clock whatever is done to it, the tests' one does what it is told.
"""

import threading
from collections.abc import Callable

import pytest

from tests.support.fake_clock import FakeClock
from tests.support.moments import PATIENCE_S
from tminus.clock import SLICE_NS, SPIN_NS, Clock, SystemClock
from tminus.instants import MS, SECOND

HOUR = 3_600 * SECOND


class Kernel:
    """
    The `time` module of a machine whose wall clock is set while somebody sleeps; each look at it takes 100
    ns.

    Args:
        steps: By how much the wall clock is set during the first sleep, the second, …
    """

    def __init__(self, *steps: int) -> None:
        self.wall_ns = 1_700_000_000 * SECOND
        self.looks = 0
        self.sleeps: list[int] = []
        self._steps = list(steps)

    def time_ns(self) -> int:
        self.looks += 1
        self.wall_ns += 100
        return self.wall_ns

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(round(seconds * SECOND))
        self.wall_ns += round(seconds * SECOND) + (self._steps.pop(0) if self._steps else 0)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Kernel]:
    """A machine whose wall clock is set by these steps."""

    def with_steps(*steps: int) -> Kernel:
        kernel = Kernel(*steps)
        monkeypatch.setattr(SystemClock, "wall_ns", staticmethod(kernel.time_ns))
        monkeypatch.setattr(SystemClock, "_sleep", staticmethod(kernel.sleep))
        return kernel

    return with_steps


Machine = Callable[..., Kernel]


@pytest.mark.parametrize("ahead_ns", [-HOUR, -1, 0])
def test_an_instant_that_has_come_is_not_held_for(machine: Machine, ahead_ns: int) -> None:
    kernel = machine()
    SystemClock().hold_until(kernel.wall_ns + ahead_ns)
    assert kernel.sleeps == []


@pytest.mark.parametrize("ahead_ns", [1, SPIN_NS - 1, SPIN_NS + MS, SLICE_NS, 10 * SECOND])
def test_a_hold_ends_when_the_wall_clock_shows_the_instant_and_not_before(
    machine: Machine, ahead_ns: int
) -> None:
    kernel = machine()
    t_ns = kernel.wall_ns + ahead_ns
    SystemClock().hold_until(t_ns)
    assert t_ns <= kernel.wall_ns < t_ns + 1_000


def test_a_hold_sleeps_in_slices_and_spins_the_rest(machine: Machine) -> None:
    kernel = machine()
    SystemClock().hold_until(kernel.wall_ns + 3 * SLICE_NS)
    assert max(kernel.sleeps) <= SLICE_NS
    assert sum(kernel.sleeps) == pytest.approx(3 * SLICE_NS - SPIN_NS, abs=MS)


@pytest.mark.parametrize("step_ns", [HOUR, 11 * SECOND])
def test_a_hold_notices_within_a_slice_that_the_clock_was_set_forward(machine: Machine, step_ns: int) -> None:
    kernel = machine(step_ns)
    SystemClock().hold_until(kernel.wall_ns + 10 * SECOND)
    assert len(kernel.sleeps) == 1


def test_a_hold_goes_on_where_the_clock_was_set_back(machine: Machine) -> None:
    kernel = machine(-5 * SECOND)
    t_ns = kernel.wall_ns + SECOND
    SystemClock().hold_until(t_ns)
    assert t_ns <= kernel.wall_ns < t_ns + 1_000
    assert sum(kernel.sleeps) == pytest.approx(6 * SECOND, abs=10 * MS)


def test_a_clock_that_is_set_back_in_the_last_moment_is_slept_for_and_not_spun_for(machine: Machine) -> None:
    kernel = machine(0, -SECOND)
    SystemClock().hold_until(kernel.wall_ns + SLICE_NS + 5 * MS)
    assert sum(kernel.sleeps) == pytest.approx(SECOND + SLICE_NS, abs=10 * MS)
    assert kernel.looks * 100 < 5 * SPIN_NS


def test_the_real_clock_holds_until_the_instant() -> None:
    clock = SystemClock()
    t_ns = clock.wall_ns() + 5 * MS
    clock.hold_until(t_ns)
    assert clock.wall_ns() >= t_ns


def test_a_wait_ends_when_the_instant_comes() -> None:
    clock = SystemClock()
    t_ns = clock.wall_ns() + 5 * MS
    assert clock.wait_until(t_ns, threading.Event())
    assert clock.wall_ns() >= t_ns


def test_a_wait_for_what_has_come_does_not_wait() -> None:
    clock = SystemClock()
    assert clock.wait_until(clock.wall_ns() - 1, threading.Event())


def test_a_wait_that_is_stopped_says_so() -> None:
    clock, stop, said = SystemClock(), threading.Event(), list[bool]()
    waiter = threading.Thread(
        target=lambda: said.append(clock.wait_until(clock.wall_ns() + HOUR, stop)), name="waiter"
    )
    waiter.start()
    stop.set()
    waiter.join(PATIENCE_S)
    assert said == [False]


@pytest.mark.parametrize("clock", [SystemClock(), FakeClock()], ids=["real", "fake"])
@pytest.mark.parametrize("ahead_ns", [-SECOND, HOUR])
def test_who_was_stopped_before_waits_for_nothing(clock: Clock, ahead_ns: int) -> None:
    stop = threading.Event()
    stop.set()
    assert not clock.wait_until(clock.wall_ns() + ahead_ns, stop)


@pytest.mark.parametrize("step_ns", [HOUR, -SECOND])
def test_a_wait_is_for_the_wall_clock_whatever_is_done_to_it(machine: Machine, step_ns: int) -> None:
    kernel = machine(step_ns)
    t_ns = kernel.wall_ns + SECOND
    assert SystemClock().wait_until(t_ns, _SleepsOn(kernel))
    assert kernel.wall_ns >= t_ns
    assert len(kernel.sleeps) == (1 if step_ns > 0 else 20)
    assert max(kernel.sleeps) <= SLICE_NS


class _SleepsOn(threading.Event):
    """An event that nobody sets, and that waits by the machine's clock."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__()
        self._kernel = kernel

    def wait(self, timeout: float | None = None) -> bool:
        self._kernel.sleep(timeout or 0)
        return False


def test_monotonic_time_does_not_go_back() -> None:
    clock = SystemClock()
    seen = [clock.monotonic_ns() for _ in range(1_000)]
    assert seen == sorted(seen)


def test_the_fake_clock_stands_still_until_it_is_told() -> None:
    clock = FakeClock(wall_ns=5)
    assert [clock.wall_ns() for _ in range(3)] == [5, 5, 5]
    clock.pass_by(2)
    assert (clock.wall_ns(), clock.monotonic_ns()) == (7, 2)


def test_the_fake_clock_keeps_a_step_from_its_monotonic_time() -> None:
    clock = FakeClock(wall_ns=5)
    clock.step_wall(-3)
    assert (clock.wall_ns(), clock.monotonic_ns()) == (2, 0)


def test_waiting_moves_the_fake_clock_and_never_back() -> None:
    clock = FakeClock(wall_ns=5)
    assert clock.wait_until(9, threading.Event())
    clock.hold_until(1)
    assert (clock.wall_ns(), clock.monotonic_ns()) == (9, 4)
