"""A process that was stopped does not judge its executors before they had time to report."""

from tminus.daemon.processes.own_pause import OwnPause
from tminus.instants import MS, SECOND


def test_frequent_looks_are_no_pause() -> None:
    pause = OwnPause(2 * SECOND)
    assert all(pause.is_over(number * 100 * MS) for number in range(100))


def test_after_a_pause_executors_have_time_to_report() -> None:
    pause = OwnPause(2 * SECOND)
    pause.is_over(SECOND)
    looks = [60 * SECOND + number * SECOND for number in range(4)]
    assert [pause.is_over(at) for at in looks] == [False, False, True, True]
