"""Shards: who is withdrawn, who is late, who waits for a connection, and what the daemon is told."""

import contextlib
import os
import signal
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import eventually, patched, suspend
from tests.support.executor import FAR_NS, ExecutorProcess, a_request, many
from tests.support.moments import PATIENCE_S
from tests.support.target import TargetServer
from tminus.executors.protocol import AttemptResults
from tminus.instants import MS, SECOND


def test_who_is_withdrawn_sends_nothing_and_is_not_reported(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    shard = executor.run(many(70, target.url), withdrawn=[0, 3, 69])
    assert shard.indexes == [index for index in range(70) if index not in (0, 3, 69)]
    assert {arrival.path for arrival in target.arrivals} == {f"/{index}" for index in shard.indexes}


def test_who_is_withdrawn_while_waiting_for_a_connection_sends_nothing(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    shard = executor.run(many(10, target.url), withdrawn=[0, 5, 9], max_connections=2)
    assert shard.indexes == [1, 2, 3, 4, 6, 7, 8]
    assert len(target.arrivals) == 7


def test_a_shard_whose_every_request_is_withdrawn_ends_as_released(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    shard = executor.run(many(5, target.url), withdrawn=range(5))
    assert shard.ended is not None
    assert (shard.ended.released, shard.finished, target.arrivals) == (True, [], [])


def test_a_shard_that_is_withdrawn_goes_home(executor: ExecutorProcess, target: TargetServer) -> None:
    shard = executor.arm(many(40, target.url))
    executor.withdraw(shard)
    executor.wait_armed(shard)
    executor.collect(shard)
    assert shard.ended is not None
    assert (shard.ended.released, shard.finished, target.arrivals) == (False, [], [])


def test_a_shard_without_a_permit_goes_home_when_it_is_too_late_for_one(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    shard = executor.arm(many(3, target.url), give_up_ns=executor.clock.wall_ns() + 700 * MS)
    executor.wait_armed(shard)
    executor.collect(shard)
    executor.release(shard, withdrawn=[1])
    assert shard.ended is not None
    assert (shard.ended.released, target.arrivals) == (False, [])
    assert executor.run_unarmed([a_request(target.url)])[0].status == 200


def test_after_a_withdrawal_a_permit_changes_nothing(executor: ExecutorProcess, target: TargetServer) -> None:
    shard = executor.arm(many(3, target.url))
    executor.withdraw(shard)
    executor.release(shard)
    executor.wait_armed(shard)
    executor.collect(shard)
    assert shard.ended is not None
    assert (shard.ended.released, target.arrivals) == (False, [])


def test_who_is_let_go_later_than_its_grace_goes_home_and_the_others_start(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    now_ns = executor.clock.wall_ns()
    requests = [a_request(target.url, 0, latest_ns=now_ns - SECOND), a_request(target.url, 1)]
    shard = executor.run(requests, release_at_ns=now_ns - 2 * SECOND, deadline_ns=now_ns)
    assert (shard[0].late, shard[0].started_ns, shard[0].cause) == (True, 0, None)
    assert (shard[1].late, shard[1].status, len(target.arrivals)) == (False, 200, 1)


def test_who_waits_for_a_connection_longer_than_its_grace_goes_home(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    release_at_ns = executor.clock.wall_ns() + 600 * MS
    requests = [
        a_request(f"{target.url}/delay/300", 0),
        a_request(target.url, 1, latest_ns=release_at_ns + 100 * MS),
    ]
    shard = executor.run(requests, release_at_ns=release_at_ns, max_connections=1)
    assert (shard[0].status, shard[1].late, len(target.arrivals)) == (200, True, 1)


@pytest.mark.parametrize("lanes", [1, 2, 5])
def test_no_more_connections_stand_at_once_than_are_allowed(
    lanes: int, executor: ExecutorProcess, target: TargetServer
) -> None:
    requests = many(60, f"{target.url}/delay/20?")
    shard = executor.run_armed(requests, armed=10, max_connections=10, lanes=lanes)
    assert shard.indexes == list(range(60))
    assert {finished.status for finished in shard.finished} == {200}
    events = [(finished.started_ns, 1) for finished in shard.finished] + [
        (f.finished_ns, -1) for f in shard.finished
    ]
    at_once = most = 0
    for _, change in sorted(events, key=lambda event: (event[0], event[1])):
        at_once += change
        most = max(most, at_once)
    assert most <= 10


def test_more_lanes_than_requests_are_not_made(executor: ExecutorProcess, target: TargetServer) -> None:
    assert executor.run(many(2, target.url), lanes=64).indexes == [0, 1]


def test_a_permit_for_a_shard_that_is_not_there_is_passed_over(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    shard = executor.run_unarmed([a_request(target.url)])
    executor.release(shard, withdrawn=[0])
    executor.withdraw(shard)
    assert executor.run_unarmed([a_request(target.url)])[0].status == 200


def test_as_much_of_an_answer_is_kept_as_was_asked_for(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    shard = executor.run_unarmed([a_request(f"{target.url}/bytes/5000", max_body=5000, keep_body=100)])
    assert (shard[0].cause, shard[0].body, shard[0].body_size) == (None, b"x" * 100, 5000)


_ENDS_MEANWHILE = """
from tminus.executors.http import transfer_group
close_idle = transfer_group._close_idle
def until_all_have_ended(multi):
    close_idle(multi)
    while multi.socket_all()[1]:
        pass
transfer_group._close_idle = until_all_have_ended
"""


def test_a_request_that_ends_while_connections_of_others_are_closed_is_reported(
    tmp_path: Path, target: TargetServer
) -> None:
    with ExecutorProcess(env=patched(tmp_path, _ENDS_MEANWHILE)) as executor:
        shard = executor.run([a_request(f"{target.url}/delay/300"), a_request(target.url, 1)])
        assert [shard[index].status for index in range(2)] == [200, 200]


@contextlib.contextmanager
def paused(executor: ExecutorProcess) -> Iterator[None]:
    suspend(executor.pid)
    try:
        yield
    finally:  # the tests after this one use the same executor
        os.kill(executor.pid, signal.SIGCONT)


def unread_from(port: int) -> int:
    """Return how many connections to this port hold bytes that nobody has read yet: proc_net_tcp(5)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(
        int(peer.split(":")[1], 16) == port and int(queues.split(":")[1], 16) > 0
        for _, _, peer, _, queues, *_ in rows
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_answers_that_come_together_are_reported_together(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    shard = executor.arm(many(40, f"{target.url}/hold"), lanes=1)
    executor.wait_armed(shard)
    executor.release(shard)
    target.wait_for(40)
    with paused(executor):
        target.release_held()
        eventually(lambda: unread_from(target.port) == 40, what="all answers have come")
    reports = 0
    while len(shard.finished) < 40:
        report = shard.reports.get(timeout=PATIENCE_S)
        assert isinstance(report, AttemptResults), report
        shard.finished += report.finished
        reports += 1
    assert reports <= 20


def test_a_response_in_time_while_the_executor_is_stopped_is_not_late(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    shard = executor.arm([a_request(f"{target.url}/delay/500", first_byte_ms=1_000)])
    executor.wait_armed(shard)
    executor.release(shard)
    target.wait_for(1)
    delay = f"{target.url}/delay/1500"
    with paused(executor), urllib.request.urlopen(delay, timeout=PATIENCE_S) as last:  # noqa: S310  loopback
        assert last.status == 200
    assert (executor.collect(shard)[0].status, shard[0].cause) == (200, None)


def test_a_shard_whose_t_is_far_away_when_the_permit_comes_stands_down(
    executor: ExecutorProcess, target: TargetServer
) -> None:
    """As after the wall clock was set back."""
    now_ns = executor.clock.wall_ns()
    shard = executor.arm(many(3, target.url), release_at_ns=now_ns + FAR_NS, deadline_ns=now_ns)
    executor.wait_armed(shard)
    executor.release(shard)
    ended = executor.collect(shard).ended
    assert (ended and ended.released, shard.finished, target.arrivals) == (False, [], [])
