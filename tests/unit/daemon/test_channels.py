"""What the settings of the jobs file come to in the commands to an executor."""

from dataclasses import replace

import pytest

from tests.support.runner import a_call
from tminus.daemon.processes.channels import RunnerChannel, ShardPlan
from tminus.daemon.processes.commands import AnyWork
from tminus.executors.protocol import Arm
from tminus.executors.python.start_table import SLOTS, StartTable

PLAN = ShardPlan(planned_at_ns=3, deadline_ns=2, give_up_ns=4)


@pytest.mark.parametrize(("has_requests", "realtime"), [(True, False), (True, True), (False, False)])
def test_python_jobs_let_requests_go_first_where_no_priority_does_it(
    *, has_requests: bool, realtime: bool
) -> None:
    start_table = StartTable.make()
    runner = RunnerChannel(None, folder="/", host="here", start_table=start_table)
    plan = replace(PLAN, batch_has_requests=has_requests, realtime=realtime)
    arm = runner.arm(1, [a_call("shop:enters")], plan, ())
    assert (arm.release_at_ns > plan.planned_at_ns) == (has_requests and not realtime)
    start_table.close()


def test_what_runs_for_long_keeps_its_place_on_the_board_while_others_come_and_go() -> None:
    start_table = StartTable.make()
    runner = RunnerChannel(None, folder="/", host="here", start_table=start_table)

    def arm(works: int, *open_orders: Arm[AnyWork]) -> Arm[AnyWork]:
        calls = [a_call("shop:enters", index=index) for index in range(works)]
        return runner.arm(1, calls, PLAN, open_orders)

    long, longer = arm(3), arm(2)
    for arm_ in (long, longer):
        start_table.mark(arm_.slots, arm_.slots + 10)
    taken = {slot % SLOTS for slot in range(5)}
    for _ in range(8):
        other = arm(SLOTS // 7, long, longer)
        assert not taken & {(other.slots + work.index) % SLOTS for work in other.works}
    assert (runner.find_entered(long), runner.find_entered(longer)) == ({0: 10}, {0: 13})
    start_table.close()
