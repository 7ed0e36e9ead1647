"""What the settings of the jobs file come to in the commands to an executor."""

from dataclasses import replace

import pytest

from scheduler.daemon.channels import Channel, Lanes, Runner, Times
from scheduler.executors.python.board import SLOTS, Board
from scheduler.executors.python.wire import Arm
from scheduler.model.definitions import DaemonSettings, Priority
from tests.support.runner import a_call

TIMES = Times(t_ns=3, deadline_ns=2, give_up_ns=4)


@pytest.mark.parametrize(
    ("priority", "is_allowed", "taken"),
    [(Priority.AUTO, True, True), (Priority.AUTO, False, False), (Priority.NORMAL, True, False)],
)
def test_a_real_time_priority_is_taken_where_it_is_allowed_and_not_declined(
    *, priority: Priority, is_allowed: bool, taken: bool
) -> None:
    board = Board.make()
    channels: list[tuple[Channel, list[object]]] = [
        (Lanes("here"), []),
        (Runner(None, folder="/", host="here", board=board), [a_call("shop:enters")]),
    ]
    settings = DaemonSettings(priority=priority)
    assert [channel.arm(1, works, TIMES, settings, realtime=is_allowed).realtime for channel, works in channels] == [taken] * 2
    board.close()


@pytest.mark.parametrize(("beside_requests", "realtime"), [(True, False), (True, True), (False, False)])
def test_python_jobs_let_requests_go_first_where_no_priority_does_it(*, beside_requests: bool, realtime: bool) -> None:
    board = Board.make()
    runner = Runner(None, folder="/", host="here", board=board)
    times = replace(TIMES, beside_requests=beside_requests)
    arm = runner.arm(1, [a_call("shop:enters")], times, DaemonSettings(), realtime=realtime)
    assert (arm.t_ns > times.t_ns) == (beside_requests and not realtime)
    board.close()


def test_what_runs_for_long_keeps_its_place_on_the_board_while_others_come_and_go() -> None:
    board = Board.make()
    runner = Runner(None, folder="/", host="here", board=board)

    def arm(works: int, *beside: Arm) -> Arm:
        calls = [a_call("shop:enters", index=index) for index in range(works)]
        return runner.arm(1, calls, TIMES, DaemonSettings(), realtime=False, beside=beside)

    long, longer = arm(3), arm(2)
    for arm_ in (long, longer):
        board.mark(arm_.slots, arm_.slots + 2)
    taken = {slot % SLOTS for slot in range(5)}
    for _ in range(20):
        other = arm(SLOTS // 7, long, longer)
        assert not taken & {(other.slots + work.index) % SLOTS for work in other.works}
    assert (runner.entered(long), runner.entered(longer)) == ({0: 2}, {0: 5})
    board.close()
