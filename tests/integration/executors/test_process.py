"""The executor as a process: how it ends, what it costs, and what it does where descriptors are scarce."""

import os
import signal

import pytest

from tests.support.executor import ExecutorProcess, a_request, many
from tests.support.moments import PATIENCE_S
from tests.support.target import TargetServer
from tminus.outcome import Cause

NO_FILES = "this process is at its limit of open files (LimitNOFILE, ulimit -n)"


@pytest.fixture
def own() -> ExecutorProcess:
    """A process for one test, which may break it."""
    return ExecutorProcess()


def test_it_ends_when_its_stdin_does_even_with_requests_under_way(
    own: ExecutorProcess, target: TargetServer
) -> None:
    with own as executor:
        shard = executor.arm([a_request(f"{target.url}/stall")])
        executor.wait_armed(shard)
        executor.release(shard)
        target.wait_for(1)
        assert executor.process.stdin is not None
        executor.process.stdin.close()
        assert executor.process.wait(PATIENCE_S) == 0


def test_that_it_was_killed_shows_as_the_end_of_its_reports(
    own: ExecutorProcess, target: TargetServer
) -> None:
    with own as executor:
        assert executor.process.stdin is not None
        shard = executor.arm([a_request(target.url)])
        executor.wait_armed(shard)
        os.kill(executor.pid, signal.SIGKILL)
        with pytest.raises(AssertionError, match="the executor has died"):
            executor.collect(shard)
        assert target.arrivals == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_leaves_it_to_the_daemon_when_to_end(
    number: signal.Signals, own: ExecutorProcess, target: TargetServer
) -> None:
    with own as executor:
        os.kill(executor.pid, number)
        assert executor.run_unarmed([a_request(target.url)])[0].status == 200


def test_if_descriptors_are_scarce_those_without_one_say_so_and_the_others_succeed(
    own: ExecutorProcess, target: TargetServer
) -> None:
    with own as executor:
        executor.run_unarmed([a_request(target.url)])
        executor.wait_quiet()
        executor.limit_files(executor.descriptors() + 12)
        shard = executor.run(many(40, target.url))
        without = [finished for finished in shard.finished if finished.cause]
        assert {(finished.cause, finished.detail, finished.started_ns) for finished in without} == {
            (Cause.RESOURCE, NO_FILES, 0)
        }
        assert len(target.arrivals) - 1 == 40 - len(without) > 0


def test_where_there_is_not_one_descriptor_all_say_so_and_the_process_lives_on(
    own: ExecutorProcess, target: TargetServer
) -> None:
    with own as executor:
        executor.run_unarmed([a_request(target.url)])
        executor.wait_quiet()
        executor.limit_files(executor.descriptors())
        shard = executor.run(many(3, target.url))
        assert {(finished.cause, finished.detail) for finished in shard.finished} == {
            (Cause.RESOURCE, NO_FILES)
        }
        assert shard.indexes == [0, 1, 2]


def test_shards_that_overlap_share_the_descriptors(target: TargetServer) -> None:
    with ExecutorProcess(wrapper=["sh", "-c", 'ulimit -n 260; exec "$@"', "sh"]) as executor:
        first = executor.arm(many(50, f"{target.url}/a"))
        second = executor.arm(many(50, f"{target.url}/b"), release_at_ns=first.release_at_ns)
        executor.wait_armed(first)
        assert executor.wait_armed(second).armed < 10
        for shard in (first, second):
            executor.release(shard)
        for shard in (first, second):
            assert {finished.status for finished in executor.collect(shard).finished} == {200}


def test_an_endless_answer_costs_no_more_than_what_is_kept_of_it(
    own: ExecutorProcess, target: TargetServer
) -> None:
    with own as executor:
        executor.run_unarmed(many(20, target.url))
        before_kib = executor.resident_kib()
        shard = executor.run_unarmed(many(20, f"{target.url}/endless", max_body=8 << 20, keep_body=1 << 10))
        assert {finished.cause for finished in shard.finished} == {Cause.TOO_LARGE}
        assert executor.resident_kib() - before_kib < 20 * (8 << 10) / 4


def test_sixty_shards_leave_nothing_behind(own: ExecutorProcess, target: TargetServer) -> None:
    def some_shards(count: int) -> None:
        shards = [executor.arm(many(5, target.url, method="POST", body=b"x")) for _ in range(count)]
        for shard in shards:
            executor.wait_armed(shard)
            executor.release(shard)
        for shard in shards:
            assert len(executor.collect(shard).finished) == 5

    with own as executor:
        for _ in range(3):  # until every thread's share of the heap is there
            some_shards(20)
        executor.wait_quiet()
        descriptors, threads, memory_kib = (
            executor.descriptors(),
            len(executor.threads()),
            executor.resident_kib(),
        )
        for _ in range(3):
            some_shards(20)
        executor.wait_quiet()
        assert (executor.descriptors(), len(executor.threads())) == (descriptors, threads)
        assert executor.resident_kib() < memory_kib * 1.25


def test_a_slow_answer_holds_one_connection_and_no_other_of_its_shard(
    own: ExecutorProcess, target: TargetServer
) -> None:
    with own as executor:
        executor.run_unarmed([a_request(target.url)])
        executor.wait_quiet()
        before = executor.descriptors()
        slow = [a_request(f"{target.url}/stall", index, first_byte_ms=0) for index in (100, 101)]
        shard = executor.arm_all([*slow, *many(100, target.url)])
        held = executor.descriptors()
        executor.release(shard)
        executor.collect_results(shard, 100)
        executor.wait_for_descriptors(before + 16)  # two lanes' loops, their multis, two connections
        assert held - before > 100
        assert {finished.status for finished in shard.finished} == {200}


def test_a_slow_answer_takes_no_connections_from_later_shards(target: TargetServer) -> None:
    with ExecutorProcess(wrapper=["sh", "-c", 'ulimit -n 260; exec "$@"', "sh"]) as executor:
        for _ in range(4):
            shard = executor.arm_all(
                [a_request(f"{target.url}/stall", 40, first_byte_ms=0), *many(40, target.url)]
            )
            executor.release(shard)
            executor.collect_results(shard, 40)
            assert {finished.status for finished in shard.finished} == {200}
