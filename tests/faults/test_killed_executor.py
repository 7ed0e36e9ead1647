"""
The executor dies or stops at each phase: its shard goes to a fresh one, or what it had is unknown; the next
batch finds one.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import DaemonProcess, coming, daemon, eventually, suspend
from tests.support.jobs import job, jobs_file, many
from tests.support.moments import wait_until
from tests.support.target import TargetServer
from tminus.instants import MS, parse_rfc3339

DIED = "executor: the executor process died after the release (SIGKILL); whether the request arrived is not known"


@pytest.fixture
def ready(tmp_path: Path, target: TargetServer) -> Iterator[DaemonProcess]:
    """A daemon with nothing to do yet."""
    with daemon(tmp_path, jobs_file(job("idle", f"{target.url}/ok", "manual"))) as running:
        yield running


def give(running: DaemonProcess, target: TargetServer, jobs: str, *, lead: str = "2s") -> None:
    """These jobs, and one to run by hand."""
    running.reload(
        jobs_file(job("idle", f"{target.url}/ok", "manual") + jobs, daemon=f"lead: {lead}, reload: sighup")
    )


def assert_it_is_back(running: DaemonProcess, target: TargetServer) -> None:
    """A fresh executor takes the next batch, and the checker finds nothing."""
    assert running.tminus("run-now", "idle").returncode == 0
    running.assert_all_is_well(target)


def test_killed_before_T_its_shard_goes_to_a_fresh_one_that_arms_it_again(
    ready: DaemonProcess, target: TargetServer
) -> None:
    give(ready, target, many(10, f"{target.url}/ok", f"at: '{coming(11)}'"), lead="10s")
    target.wait_for_connections(10)
    killed = ready.executor_pid()
    os.kill(killed, signal.SIGKILL)
    ended = ready.wait_for(rows=10, state="finished")
    assert {(one["outcome"], one["armed"]) for one in ended} == {("succeeded", True)}
    assert ready.executor_pid() != killed
    assert [line["status"] for line in ready.said("executor died")] == [-signal.SIGKILL]
    ready.assert_all_is_well(target)


def test_killed_between_the_commit_and_T_nothing_has_left_so_it_still_starts(
    ready: DaemonProcess, target: TargetServer
) -> None:
    give(ready, target, many(10, f"{target.url}/ok", f"at: '{coming(3)}'"))
    committed = ("running", "finished")
    eventually(lambda: [one["state"] in committed for one in ready.occurrences()] == [True] * 10)
    os.kill(ready.executor_pid(), signal.SIGKILL)
    ended = ready.wait_for(rows=10, state="finished")
    if not any(one["outcome"] == "unknown" for one in ended):  # on a slow machine T came first
        assert {one["outcome"] for one in ended} == {"succeeded"}
    ready.assert_all_is_well(target)


def test_killed_after_T_what_it_had_is_unknown_and_what_it_had_reported_stays(
    ready: DaemonProcess, target: TargetServer
) -> None:
    at = coming(2.5)
    give(
        ready,
        target,
        many(10, f"{target.url}/stall", f"at: '{at}'") + job("quick", f"{target.url}/ok", f"at: '{at}'"),
    )
    target.wait_for(11)
    ready.wait_for(job="quick", outcome="succeeded")
    os.kill(ready.executor_pid(), signal.SIGKILL)
    ended = ready.wait_for(rows=10, outcome="unknown")
    assert {one["reason"] for one in ended} == {DIED}
    assert_it_is_back(ready, target)


def test_stopped_before_it_is_armed_it_is_replaced_and_the_batch_starts_late(
    ready: DaemonProcess, target: TargetServer
) -> None:
    suspend(ready.executor_pid())
    give(ready, target, many(10, f"{target.url}/ok", f"at: '{coming(2)}'"))
    ended = ready.wait_for(rows=10, state="finished")
    assert {one["outcome"] for one in ended} == {"succeeded"}
    assert ready.said("executor hangs, replacing it")
    assert_it_is_back(ready, target)


def test_stopped_while_it_should_take_a_long_shard_it_is_replaced_too(
    ready: DaemonProcess, target: TargetServer
) -> None:
    suspend(ready.executor_pid())
    give(ready, target, many(200, f"{target.url}/{'long' * 100}", f"at: '{coming(2)}'"))
    ended = ready.wait_for(rows=200, state="finished")
    assert {one["outcome"] for one in ended} == {"succeeded"}
    assert_it_is_back(ready, target)


def test_stopped_through_T_and_woken_after_the_grace_it_starts_nothing(
    ready: DaemonProcess, target: TargetServer
) -> None:
    at = coming(8)
    give(ready, target, many(10, f"{target.url}/ok", f"at: '{at}'", "misfire_grace_time: 200ms"), lead="6s")
    target.wait_for_connections(10)
    stopped = ready.executor_pid()
    wait_until(parse_rfc3339(at) - 1500 * MS)  # it is not replaced before T
    suspend(stopped)
    wait_until(parse_rfc3339(at) + 500 * MS)
    os.kill(stopped, signal.SIGCONT)
    ended = ready.wait_for(rows=10, state="finished")
    assert {(one["outcome"], one["reason"]) for one in ended} == {
        ("missed", "released later than its misfire_grace_time")
    }
    assert_it_is_back(ready, target)


def test_stopped_after_T_it_is_replaced_once_every_answer_is_overdue(
    ready: DaemonProcess, target: TargetServer
) -> None:
    policies = "misfire_grace_time: 500ms, timeout: {total: 1s}"
    give(ready, target, many(10, f"{target.url}/stall", f"at: '{coming(2.5)}'", policies))
    target.wait_for(10)
    suspend(ready.executor_pid())
    ended = ready.wait_for(rows=10, state="finished")
    assert {one["outcome"] for one in ended} == {"unknown"}
    assert_it_is_back(ready, target)
