"""The gate: shut from shortly before the T of a shard until that is out, for everyone but its own."""

import threading

import pytest

from tests.support.fake_clock import FakeClock
from tests.support.moments import PATIENCE_S
from tminus.instants import MS, SECOND
from tminus.release.gate import BEFORE_NS, LONGEST_NS, Gate

NOW = 1_700_000_000 * SECOND


@pytest.mark.parametrize(
    ("release_at_ns", "is_open"),
    [
        pytest.param(NOW + BEFORE_NS + 1, True, id="its-T-is-far"),
        pytest.param(NOW + BEFORE_NS, False, id="its-T-is-near"),
        pytest.param(NOW, False, id="its-T-is-now"),
        pytest.param(NOW - LONGEST_NS + 50 * MS, False, id="it-is-not-out-yet"),
        pytest.param(NOW - LONGEST_NS, True, id="it-has-hung-for-too-long"),
    ],
)
def test_it_is_shut_around_the_t_of_another_shard(release_at_ns: int, is_open: bool) -> None:
    clock = MovingClock()
    gate = Gate(clock)
    gate.shut_around("other", release_at_ns)
    assert gate.wait_open(own="mine", deadline_ns=NOW + 20 * MS) is is_open


def test_it_is_open_to_the_shard_that_shuts_it() -> None:
    gate = Gate(FakeClock(NOW))
    gate.shut_around("mine", NOW)
    assert gate.wait_open(own="mine", deadline_ns=NOW + 1)


def test_a_shard_is_known_by_its_number() -> None:
    gate = Gate(FakeClock(NOW))
    gate.shut_around(int("1000"), NOW)
    assert gate.wait_open(own=int("1000"), deadline_ns=NOW + 1)


def test_it_opens_when_the_last_shard_is_out() -> None:
    gate = Gate(FakeClock(NOW))
    came_through = threading.Event()
    gate.shut_around(1, NOW)
    gate.shut_around(2, NOW)

    def wait() -> None:
        gate.wait_open(own=3, deadline_ns=NOW + 60 * SECOND)
        came_through.set()

    waiting = threading.Thread(target=wait, name="waiting")
    waiting.start()
    gate.release(1)
    assert not came_through.is_set()
    gate.release(2)
    assert came_through.wait(PATIENCE_S)
    waiting.join()


def test_after_the_deadline_nobody_comes_through() -> None:
    assert not Gate(FakeClock(NOW)).wait_open(own=None, deadline_ns=NOW)


def test_to_release_what_is_not_held_changes_nothing() -> None:
    gate = Gate(FakeClock(NOW))
    gate.release("nobody")
    assert gate.wait_open(own=None, deadline_ns=NOW + 1)


class MovingClock(FakeClock):
    """Ten milliseconds pass between two looks."""

    def __init__(self) -> None:
        super().__init__(NOW - 10 * MS)

    def wall_ns(self) -> int:
        self.pass_by(10 * MS)
        return super().wall_ns()
