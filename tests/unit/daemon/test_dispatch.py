"""A part of a batch: which occurrences it takes, and what it sends to its executor."""

import queue
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import pytest

from tests.support.executor import a_request
from tests.support.fake_clock import FakeClock
from tests.support.scripted import ScriptedExecutor
from tests.support.scripted_process import Supervised, supervising
from tests.support.values import a_due
from tminus.clock import SystemClock
from tminus.daemon.processes.channels import Channel, HttpChannel, ShardPlan
from tminus.daemon.processes.commands import Event, ExecutorDied, OrderHandle
from tminus.daemon.processes.dispatch import MOST_BYTES, Dispatch, Item, dispatch_for
from tminus.daemon.processes.supervisor import Supervisor
from tminus.executors.protocol import Arm, Armed, Release, Withdraw
from tminus.instants import SECOND
from tminus.model.definitions import DaemonSettings, Priority
from tminus.secrets.redaction import Redaction

PLAN = ShardPlan(planned_at_ns=3, deadline_ns=2, give_up_ns=4)


def test_a_part_of_a_batch_carries_some_mib_and_the_next_work_begins_another_one() -> None:
    clock = SystemClock()
    lanes = Supervisor(HttpChannel("here"), clock=clock)
    dispatches: list[Dispatch] = []
    bodies = [b"x" * (MOST_BYTES // 2), None, b"x" * (MOST_BYTES // 2), b"x", None]
    for index, body in enumerate(bodies):
        dispatch = dispatch_for(dispatches, lambda: lanes, clock=clock, on_event=lambda *_: None)
        dispatch.add(Item(a_due(fire_time_ns=index), a_request("http://x/", index, body=body), Redaction()))
    assert [list(dispatch.outstanding) for dispatch in dispatches] == [[0, 1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("priority", "is_allowed", "is_taken"),
    [(Priority.AUTO, True, True), (Priority.AUTO, False, False), (Priority.NORMAL, True, False)],
)
def test_a_real_time_priority_is_taken_where_it_is_allowed_and_not_declined(
    *, priority: Priority, is_allowed: bool, is_taken: bool
) -> None:
    executor = ScriptedExecutor(lambda *_: None)
    executor.may_be_realtime = is_allowed
    dispatch = Dispatch(
        lambda: cast("Supervisor[Channel]", executor), clock=FakeClock(), on_event=lambda *_: None
    )
    dispatch.arm(replace(PLAN, settings=DaemonSettings(priority=priority)))
    (arm,) = executor.commands
    assert isinstance(arm, Arm)
    assert arm.realtime is is_taken


Events = queue.SimpleQueue[tuple[OrderHandle, Event]]


@pytest.fixture
def supervised(monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervised]:
    """Its executor."""
    with supervising(monkeypatch) as one:
        yield one


@pytest.fixture
def events() -> Events:
    """What happened to its shards."""
    return queue.SimpleQueue()


@pytest.fixture
def dispatch(supervised: Supervised, events: Events) -> Dispatch:
    """A dispatch of three requests."""
    dispatch = Dispatch(
        lambda: supervised.supervisor,
        clock=supervised.clock,
        on_event=lambda _dispatch, shard, event: events.put((shard, event)),
    )
    for index in range(3):
        dispatch.add(Item(a_due(fire_time_ns=index), a_request("http://x/", index), Redaction()))
    return dispatch


def a_plan(supervised: Supervised) -> ShardPlan:
    """T in two seconds."""
    now_ns = supervised.clock.wall_ns()
    return ShardPlan(
        planned_at_ns=now_ns + 2 * SECOND, deadline_ns=now_ns + SECOND, give_up_ns=now_ns + 60 * SECOND
    )


def test_what_has_ended_before_the_commit_is_withdrawn_with_the_release(
    dispatch: Dispatch, supervised: Supervised
) -> None:
    process = supervised.next_process()
    dispatch.arm(a_plan(supervised))
    arm = process.commands.get(timeout=30)
    assert isinstance(arm, Arm)
    assert [work.index for work in arm.works] == [0, 1, 2]
    del dispatch.outstanding[1]
    dispatch.release(ends_in_ns=SECOND)
    assert process.commands.get(timeout=30) == Release(shard=arm.shard, withdrawn=[1])


def test_what_is_withdrawn_before_it_is_sent_never_goes_out(
    dispatch: Dispatch, supervised: Supervised
) -> None:
    process = supervised.next_process(is_ready=False)
    dispatch.arm(a_plan(supervised))
    dispatch.withdraw()
    process.hello()
    following = supervised.arm()
    assert process.commands.get(timeout=30) == following.order


def test_later_events_of_a_shard_that_was_withdrawn_are_not_its_own(
    dispatch: Dispatch, supervised: Supervised, events: Events
) -> None:
    process = supervised.next_process()
    dispatch.arm(a_plan(supervised))
    process.commands.get(timeout=30)
    dispatch.withdraw()
    assert process.commands.get(timeout=30) == Withdraw(shard=1)
    process.reports.put(Armed(shard=1, armed=3, took_ns=1))
    shard, _ = events.get(timeout=30)
    assert not dispatch.is_current(shard)
    dispatch.release(ends_in_ns=SECOND)
    assert process.commands.empty()


def test_after_a_death_only_what_is_outstanding_is_armed_in_the_next_process(
    dispatch: Dispatch, supervised: Supervised, events: Events
) -> None:
    process = supervised.next_process()
    dispatch.arm(a_plan(supervised))
    process.commands.get(timeout=30)
    process.end(-9)
    lost, died = events.get(timeout=30)
    assert isinstance(died, ExecutorDied)
    assert dispatch.is_current(lost)
    del dispatch.outstanding[0]
    dispatch.arm(a_plan(supervised))
    arm = supervised.next_process().commands.get(timeout=30)
    assert isinstance(arm, Arm)
    assert [work.index for work in arm.works] == [1, 2]
    assert not dispatch.is_current(lost)


@pytest.mark.parametrize(("is_released", "has_ns"), [(False, 3 * SECOND), (True, 42 * SECOND)])
def test_an_executor_is_replaced_that_does_not_arm_or_does_not_report(
    dispatch: Dispatch, supervised: Supervised, events: Events, *, is_released: bool, has_ns: int
) -> None:
    """It has until the deadline, or until all must have ended, and two seconds more."""
    process = supervised.next_process()
    supervised.call()
    process.commands.get(timeout=30)
    supervised.clock.pass_by(6 * SECOND)
    dispatch.arm(a_plan(supervised))
    process.commands.get(timeout=30)
    if is_released:
        dispatch.release(ends_in_ns=40 * SECOND)
        process.commands.get(timeout=30)
    supervised.clock.pass_by(has_ns - 1)
    dispatch.replace_if_it_hangs()
    assert process.put("still there")
    supervised.clock.pass_by(1)
    dispatch.replace_if_it_hangs()
    assert isinstance(events.get(timeout=30)[1], ExecutorDied)


def test_a_runner_of_its_own_ends_when_nothing_is_outstanding(supervised: Supervised) -> None:
    dispatch = Dispatch(
        lambda: supervised.supervisor, clock=supervised.clock, on_event=lambda *_: None, is_apart=True
    )
    process = supervised.next_process()
    dispatch.add(Item(a_due(fire_time_ns=0), a_request("http://x/", 0), Redaction()))
    dispatch.end_if_apart()
    assert not process.is_finished
    dispatch.outstanding.clear()
    dispatch.end_if_apart()
    assert process.is_finished


def test_an_executor_that_was_stopped_with_this_process_has_time_to_report() -> None:
    clock, executor = FakeClock(), ScriptedExecutor(lambda *_: None)
    dispatch = Dispatch(lambda: cast("Supervisor[Channel]", executor), clock=clock, on_event=lambda *_: None)
    dispatch.arm(PLAN)
    dispatch.replace_if_it_hangs()
    clock.pass_by(3600 * SECOND)
    dispatch.replace_if_it_hangs()
    assert executor.replaced == []
    for _ in range(2):
        clock.pass_by(SECOND)
        dispatch.replace_if_it_hangs()
    assert len(executor.replaced) == 1
