"""The supervisor: what becomes of its orders, whatever becomes of its process."""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.runner import a_call
from tests.support.scripted_process import Supervised, supervising
from tminus.daemon.processes.commands import ExecutorDied, ExecutorUnavailable, Unsendable
from tminus.executors.protocol import (
    Arm,
    Armed,
    AttemptResult,
    AttemptResults,
    JobRequest,
    JobResponse,
    Left,
    ProcessExited,
    Returned,
    ShardEnded,
    Spent,
)
from tminus.instants import SECOND

ENDED = ExecutorUnavailable("its executor was ended, and no other one follows")


@pytest.fixture
def supervised(monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervised]:
    with supervising(monkeypatch) as one:
        yield one


def armed(number: int) -> Armed:
    return Armed(shard=number, armed=1, took_ns=1)


def test_orders_wait_until_the_executor_is_ready_and_go_out_in_their_order(supervised: Supervised) -> None:
    process = supervised.next_process(is_ready=False)
    early = [supervised.arm(), supervised.call()]
    assert not any(handle.is_sent for handle in early)
    process.hello()
    sent = [process.commands.get(timeout=30) for _ in early]
    late = supervised.arm()
    assert [*sent, process.commands.get(timeout=30)] == [handle.order for handle in [*early, late]]


def test_a_report_goes_to_its_order_until_that_has_ended(supervised: Supervised) -> None:
    process = supervised.next_process()
    supervised.arm()
    supervised.call()
    returned = Returned(call=2, result=AttemptResult(index=0, finished_ns=1))
    ended = ShardEnded(shard=1, released=True)
    for report in (returned, armed(1), returned, ended, armed(1), armed(7)):
        process.reports.put(report)
    last = supervised.arm()
    process.reports.put(armed(last.number))
    events = [supervised.event() for _ in range(4)]
    assert events == [(2, returned), (1, armed(1)), (1, ended), (3, armed(3))]


def test_after_a_death_sent_orders_know_it_and_others_go_to_the_next_process(supervised: Supervised) -> None:
    supervised.channel.entered_ns, supervised.channel.loading = {0: 5}, (1,)
    process = supervised.next_process()
    for _ in range(2):
        supervised.arm()
        process.commands.get(timeout=30)
    process.end(-9)
    died_at_ns = supervised.clock.wall_ns()
    died = ExecutorDied(died_at_ns, "SIGKILL", {0: 5}, (1,), 2)
    assert [supervised.event() for _ in range(2)] == [(1, died), (2, died)]
    following = supervised.next_process(is_ready=False)
    waits = supervised.arm()
    following.end(3)
    third = supervised.next_process()
    assert third.commands.get(timeout=30) == waits.order
    assert supervised.events.empty()


def test_the_start_table_is_read_before_another_order_may_get_the_slots(supervised: Supervised) -> None:
    process = supervised.next_process()
    supervised.arm()
    process.commands.get(timeout=30)
    another_sent, was_sent = threading.Event(), list[bool]()

    def order_of(number: int, _open_orders: object) -> Arm[Any]:
        another_sent.set()
        return Arm(shard=number, release_at_ns=0, deadline_ns=0, give_up_ns=0, realtime=False, works=())

    def send_another() -> None:
        supervised.channel.on_entered = lambda: None
        threading.Thread(target=supervised.send, args=(order_of,)).start()
        was_sent.append(another_sent.wait(0.2))

    supervised.channel.on_entered = send_another
    process.end()
    assert supervised.event()[0] == 1
    assert another_sent.wait(30)
    assert was_sent == [False]


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        ({"error": "no module named shop"}, "no module named shop"),
        ({"version": 1}, "it speaks version 1 of tminus's protocol"),
    ],
)
def test_an_executor_that_does_not_work_gets_no_order_and_each_order_is_another_try(
    supervised: Supervised, hello: dict[str, Any], reason: str
) -> None:
    process = supervised.next_process(is_ready=False)
    supervised.arm()
    process.hello(**hello)
    number, event = supervised.event()
    assert number == 1
    assert isinstance(event, ExecutorUnavailable)
    assert event.reason.startswith(reason)
    assert supervised.supervisor.broken == event.reason
    assert process.commands.empty()
    again = supervised.arm()
    process = supervised.next_process()
    assert process.commands.get(timeout=30) == again.order
    assert not supervised.supervisor.broken


def test_an_executor_that_cannot_be_started_is_tried_again_with_the_next_order(
    supervised: Supervised,
) -> None:
    process = supervised.next_process()
    has_order, failures = threading.Event(), iter([OSError(24, "Too many open files")])

    def fail_once() -> None:
        for failure in failures:
            assert has_order.wait(30)
            raise failure

    supervised.channel.on_start = fail_once
    process.end(1)
    assert supervised.asked.get(timeout=30) == (process.pid, ProcessExited(pid=process.pid))
    supervised.arm()
    has_order.set()
    assert supervised.event() == (1, ExecutorUnavailable("it cannot be started: Too many open files"))
    again = supervised.arm()
    assert supervised.next_process().commands.get(timeout=30) == again.order


def test_a_process_that_makes_no_sense_is_replaced(supervised: Supervised) -> None:
    process = supervised.next_process()
    supervised.arm()
    process.commands.get(timeout=30)
    process.reports.put(ValueError("no JSON"))
    number, event = supervised.event()
    assert number == 1
    assert isinstance(event, ExecutorDied)
    supervised.next_process()


def test_works_that_cannot_be_encoded_are_named_and_the_executor_stays(supervised: Supervised) -> None:
    process = supervised.next_process()
    good, bad = a_call("shop:fine"), a_call("shop:bad", index=1)

    def encode(command: Any) -> None:
        if bad in getattr(command, "works", ()):
            raise TypeError("a set")

    supervised.channel.on_encode = encode
    supervised.arm(works=[good, bad])
    assert supervised.event() == (1, Unsendable({1: "it cannot be sent to its executor: a set"}))
    supervised.arm(works=[good])
    assert process.commands.get(timeout=30) == Arm(
        shard=2, release_at_ns=0, deadline_ns=0, give_up_ns=0, realtime=False, works=[good]
    )


def test_an_order_that_was_not_sent_can_be_forgotten(supervised: Supervised) -> None:
    process = supervised.next_process(is_ready=False)
    forgotten, sent = supervised.arm(), supervised.arm()
    assert supervised.supervisor.forget(forgotten)
    process.hello()
    assert process.commands.get(timeout=30) == sent.order
    assert not supervised.supervisor.forget(sent)


def test_a_retired_executor_ends_with_its_last_order(supervised: Supervised) -> None:
    process = supervised.next_process()
    supervised.arm()
    process.commands.get(timeout=30)
    supervised.supervisor.retire()
    assert not process.is_finished
    process.reports.put(ShardEnded(shard=1, released=True))
    assert supervised.asked.get(timeout=30) == (process.pid, ProcessExited(pid=process.pid))
    assert process.is_finished
    supervised.event()
    supervised.arm()
    assert supervised.event() == (0, ExecutorDied(supervised.clock.wall_ns(), "a fresh one follows", {}))
    assert supervised.channel.started.empty()


def test_an_executor_that_is_ended_refuses_all_orders(supervised: Supervised) -> None:
    supervised.next_process(is_ready=False)
    supervised.arm()
    supervised.supervisor.kill()
    assert supervised.event() == (1, ENDED)
    supervised.arm()
    assert supervised.event() == (0, ENDED)


def an_unanswered_call(supervised: Supervised) -> None:
    supervised.call(answer_by_ns=supervised.clock.monotonic_ns())


def a_shard_without_a_report(supervised: Supervised) -> None:
    supervised.arm(answer_by_ns=supervised.clock.monotonic_ns())


@pytest.mark.parametrize("order", [an_unanswered_call, a_shard_without_a_report])
def test_an_executor_that_does_not_answer_is_replaced_after_its_time(
    supervised: Supervised, order: Callable[[Supervised], None]
) -> None:
    process = supervised.next_process()
    order(supervised)
    process.commands.get(timeout=30)
    supervised.clock.pass_by(5 * SECOND)
    assert supervised.supervisor.is_well()
    supervised.clock.pass_by(1)
    assert not supervised.supervisor.is_well()
    assert isinstance(supervised.event()[1], ExecutorDied)


def test_an_executor_that_has_answered_may_run_for_long(supervised: Supervised) -> None:
    process = supervised.next_process()
    supervised.arm(answer_by_ns=0)
    process.commands.get(timeout=30)
    process.reports.put(armed(1))
    supervised.event()
    supervised.call(answer_by_ns=0)
    process.commands.get(timeout=30)
    supervised.channel.accepted.add(2)
    supervised.clock.pass_by(3_600 * SECOND)
    assert supervised.supervisor.is_well()
    process.stuck_for_ns = 5 * SECOND + 1
    assert not supervised.supervisor.is_well()


def test_an_executor_that_hangs_is_replaced_once_it_had_its_time(supervised: Supervised) -> None:
    process = supervised.next_process()
    shard = supervised.arm()
    process.commands.get(timeout=30)
    supervised.supervisor.replace(shard)
    assert process.put("still there")
    supervised.clock.pass_by(5 * SECOND + 1)
    supervised.supervisor.replace(shard)
    assert isinstance(supervised.event()[1], ExecutorDied)
    supervised.next_process()


def test_an_import_has_a_minute_before_it_is_taken_to_hang(supervised: Supervised) -> None:
    process = supervised.next_process(is_ready=False)
    shard = supervised.arm()
    supervised.supervisor.replace(shard)
    assert process.put("still there")
    supervised.clock.pass_by(60 * SECOND)
    supervised.supervisor.replace(shard)
    assert supervised.next_process().commands.get(timeout=30) == shard.order


def test_a_response_to_a_process_that_has_ended_does_not_go_to_the_next_one(supervised: Supervised) -> None:
    responses: queue.SimpleQueue[Callable[[JobResponse], object]] = queue.SimpleQueue()
    supervised.on_request = lambda _runner, _request, respond: responses.put(respond)
    process = supervised.next_process()
    process.reports.put(JobRequest(pid=process.pid, number=1, what="submit", given={}))
    respond = responses.get(timeout=30)
    response = JobResponse(pid=process.pid, number=1)
    assert respond(response)
    assert process.commands.get(timeout=30) == response
    process.end()
    following = supervised.next_process()
    assert not respond(response)
    assert following.commands.empty()


def test_requests_of_jobs_and_a_worn_out_runner_are_passed_on(supervised: Supervised) -> None:
    is_worn_out = threading.Event()
    supervised.supervisor.on_worn_out = is_worn_out.set
    process = supervised.next_process()
    request = JobRequest(pid=7, number=1, what="submit", given={})
    process.reports.put(request)
    assert supervised.asked.get(timeout=30) == (process.pid, request)
    process.reports.put(Spent())
    assert is_worn_out.wait(30)


def test_a_job_that_was_written_off_counts_until_its_thread_or_its_process_ends(
    supervised: Supervised,
) -> None:
    process = supervised.next_process()
    supervised.arm()
    process.commands.get(timeout=30)
    results = [AttemptResult(index=index, finished_ns=1, still_runs=True) for index in range(2)]
    process.reports.put(AttemptResults(shard=1, finished=results))
    supervised.event()
    have_ended = [threading.Event(), threading.Event()]
    for index, has_ended in enumerate(have_ended):
        supervised.supervisor.written_off.when_left(1, index, has_ended.set)
    process.reports.put(Left(shard=1, index=0))
    assert have_ended[0].wait(30)
    assert not have_ended[1].is_set()
    process.end(-9)
    assert have_ended[1].wait(30)
