"""The hold: nobody is let go before T, without a permit, or after having been sent home."""

import threading

import pytest

from tests.support.fake_clock import FakeClock
from tminus.instants import LATEST_NS, MS, SECOND
from tminus.policies.lead import LONGEST_NS
from tminus.release.hold import LEAVE_NS, RECHECK_NS, Hold

START = 1_700_000_000 * SECOND


class SteppedClock(FakeClock):
    """Its wall clock is set, once, a nanosecond before the end of its first hold."""

    def __init__(self, by_ns: int) -> None:
        super().__init__(START)
        self._by_ns = by_ns

    def hold_until(self, instant_ns: int, *, longest_ns: int = LATEST_NS) -> bool:
        if self._by_ns:
            super().hold_until(instant_ns - 1)
            self.step_wall(self._by_ns)
            self._by_ns = 0
        return super().hold_until(instant_ns, longest_ns=longest_ns)


def a_hold(
    clock: FakeClock, *, release_at_ns: int = START + 10 * SECOND, looks: list[int] | None = None
) -> Hold:
    seen = [] if looks is None else looks
    return Hold(
        release_at_ns=release_at_ns,
        give_up_ns=release_at_ns + 30 * SECOND,
        clock=clock,
        recheck=lambda: seen.append(clock.wall_ns()),
    )


def hold_to_the_end(hold: Hold) -> None:
    hold()
    hold.until_t()


def test_the_barrier_is_left_shortly_before_t() -> None:
    clock = FakeClock(START)
    hold = a_hold(clock)
    hold.permit()
    hold()
    assert (hold.released_at_ns, clock.wall_ns()) == (None, START + 10 * SECOND - LEAVE_NS)


def test_with_a_permit_it_ends_at_t() -> None:
    clock = FakeClock(START)
    hold = a_hold(clock)
    assert hold.permit()
    hold_to_the_end(hold)
    assert hold.released_at_ns == clock.wall_ns() == START + 10 * SECOND


def test_the_last_look_is_shortly_before_t() -> None:
    looks: list[int] = []
    hold = a_hold(FakeClock(START), looks=looks)
    hold.permit()
    hold_to_the_end(hold)
    assert looks == [hold.release_at_ns - RECHECK_NS]


def test_a_permit_after_t_lets_go_at_once_and_says_how_late_it_is() -> None:
    hold = a_hold(FakeClock(START), release_at_ns=START - 3 * SECOND)
    hold.permit()
    hold_to_the_end(hold)
    assert hold.released_at_ns == START


def test_without_a_permit_all_go_home_when_it_is_too_late_for_one() -> None:
    clock = FakeClock(START)
    hold = a_hold(clock)
    hold_to_the_end(hold)
    assert (hold.released_at_ns, clock.wall_ns()) == (None, START + 40 * SECOND)
    assert not hold.permit()


def test_who_is_withdrawn_goes_home_at_once_and_looks_at_nothing() -> None:
    clock, looks = FakeClock(START), list[int]()
    hold = a_hold(clock, looks=looks)
    assert hold.withdraw()
    hold_to_the_end(hold)
    assert (hold.released_at_ns, clock.wall_ns(), looks) == (None, START, [])


@pytest.mark.parametrize("first", ["permit", "withdraw"])
def test_the_first_word_counts(first: str) -> None:
    hold = a_hold(FakeClock(START))
    assert getattr(hold, first)()
    assert hold.permit() is (first == "permit")
    assert hold.withdraw() is (first == "withdraw")
    hold_to_the_end(hold)
    assert (hold.released_at_ns is not None) is (first == "permit")


def test_what_comes_first_is_done_before_anybody_is_let_go() -> None:
    hold = a_hold(FakeClock(START), release_at_ns=START)
    released_when_done: list[int | None] = []
    holding = threading.Thread(target=hold_to_the_end, args=(hold,), name="holding")

    def first() -> None:
        holding.start()
        released_when_done.append(hold.released_at_ns)

    assert hold.permit(first)
    holding.join()
    assert released_when_done == [None]
    assert hold.released_at_ns is not None


def test_what_comes_first_is_left_undone_where_they_were_sent_home() -> None:
    hold, done = a_hold(FakeClock(START)), list[str]()
    hold.withdraw()
    assert not hold.permit(lambda: done.append("too late"))
    assert done == []


@pytest.mark.parametrize("by_ns", [-5 * SECOND, -5 * MS, 5 * MS, 3600 * SECOND])
def test_a_step_of_the_wall_clock_never_lets_go_before_t(by_ns: int) -> None:
    clock = SteppedClock(by_ns)
    hold = a_hold(clock)
    hold.permit()
    hold_to_the_end(hold)
    assert hold.released_at_ns is not None
    assert hold.released_at_ns >= hold.release_at_ns


def test_a_step_back_moves_the_release_with_it() -> None:
    clock = SteppedClock(-5 * SECOND)
    hold = a_hold(clock)
    hold.permit()
    hold_to_the_end(hold)
    assert hold.released_at_ns == hold.release_at_ns
    assert clock.monotonic_ns() == 15 * SECOND


@pytest.mark.parametrize("by_ns", [-LONGEST_NS, -3600 * SECOND, -365 * 86_400 * SECOND])
def test_a_step_back_to_long_before_t_has_all_stand_down(by_ns: int) -> None:
    clock, looks = SteppedClock(by_ns), list[int]()
    hold = a_hold(clock, looks=looks)
    hold.permit()
    hold_to_the_end(hold)
    assert (hold.released_at_ns, looks, clock.monotonic_ns()) == (None, [], 10 * SECOND - LEAVE_NS - 1)


def test_where_it_may_not_spin_it_sleeps_until_t() -> None:
    class Sleeper(FakeClock):
        slept_until = 0

        def sleep_until(self, instant_ns: int, *, longest_ns: int = LATEST_NS) -> bool:
            self.slept_until = instant_ns
            return self.hold_until(instant_ns, longest_ns=longest_ns)

    clock = Sleeper()
    release_at_ns = clock.wall_ns() + SECOND
    hold = Hold(
        release_at_ns=release_at_ns,
        give_up_ns=release_at_ns + SECOND,
        clock=clock,
        recheck=lambda: None,
        spins=False,
    )
    hold.permit()
    hold_to_the_end(hold)
    assert (clock.slept_until, hold.released_at_ns) == (release_at_ns, release_at_ns)
