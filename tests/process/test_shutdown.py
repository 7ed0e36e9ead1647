"""SIGTERM and SIGINT: nothing new is claimed, what is near or runs may finish, what is left is said."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.daemon import DaemonProcess, coming, daemon, eventually, is_alive
from tests.support.jobs import job, jobs_file, many
from tests.support.target import TargetServer

IDLE = jobs_file(job("idle", "http://127.0.0.1:1/", "manual"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_runs_may_finish_within_the_shutdown_grace(
    tmp_path: Path, target: TargetServer, number: signal.Signals
) -> None:
    held = many(5, f"{target.url}/hold", f"at: '{coming(2)}'", "timeout: {total: 10m}")
    with daemon(tmp_path, jobs_file(held, daemon="shutdown_grace: 10m")) as running:
        target.wait_for(5)
        running.signal(number)
        assert running.wait_until_said("stopping")["running"] == 5
        target.release_held()
        assert running.wait() == 0
        assert {one["outcome"] for one in running.occurrences()} == {"succeeded"}
        running.assert_all_is_well(target)


def test_a_batch_whose_T_lies_within_the_grace_is_still_let_go(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, IDLE) as running:
        running.reload(jobs_file(many(5, f"{target.url}/ok", f"at: '{coming(3)}'")))
        running.wait_for(rows=5)
        assert running.stop() == 0
        assert {one["outcome"] for one in running.occurrences()} == {"succeeded"}
        running.assert_all_is_well(target)


def test_a_batch_whose_T_lies_beyond_the_grace_stays_claimed_for_the_next_start(
    tmp_path: Path, target: TargetServer
) -> None:
    settings = "lead: 10s, shutdown_grace: 0s"
    with daemon(tmp_path, IDLE) as running:
        running.reload(jobs_file(many(5, f"{target.url}/ok", f"at: '{coming(8)}'"), daemon=settings))
        running.wait_for(rows=5, state="claimed")
        assert running.stop() == 0
        assert {one["state"] for one in running.occurrences()} == {"claimed"}
        running.start()
        running.wait_for(rows=5, outcome="succeeded")
        running.assert_all_is_well(target)


def test_what_has_no_answer_when_the_grace_is_over_is_unknown(tmp_path: Path, target: TargetServer) -> None:
    settings = "lead: 1s, shutdown_grace: 500ms"
    with daemon(
        tmp_path, jobs_file(many(5, f"{target.url}/stall", f"at: '{coming(2)}'"), daemon=settings)
    ) as running:
        target.wait_for(5)
        assert running.stop() == 0
        reason = "executor: tminus was stopped before an answer came (shutdown_grace); whether the request arrived is not known"
        assert {(one["outcome"], one["reason"]) for one in running.occurrences()} == {("unknown", reason)}
        running.assert_all_is_well(target)


def test_a_second_signal_ends_it_at_once_and_the_next_start_finds_what_was_running(
    tmp_path: Path, target: TargetServer
) -> None:
    with daemon(tmp_path, jobs_file(many(5, f"{target.url}/stall", f"at: '{coming(2)}'"))) as running:
        target.wait_for(5)
        running.signal(signal.SIGTERM)
        running.wait_until_said("stopping")
        running.signal(signal.SIGINT)
        assert running.wait() == -signal.SIGINT
        running.start()
        assert {one["outcome"] for one in running.wait_for(rows=5, state="finished")} == {"unknown"}
        running.assert_all_is_well(target)


def test_asked_to_stop_before_it_is_ready_it_stops(tmp_path: Path, target: TargetServer) -> None:
    running = DaemonProcess(tmp_path, jobs_file(job("idle", target.url, "manual")))
    try:
        running.start(wait=False)
        eventually(lambda: len(running.executors()) > 0, what="it is starting")
        assert running.stop() == 0
    finally:
        running.close()


def test_no_executor_outlives_its_daemon(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, jobs_file(job("idle", target.url, "manual"))) as running:
        for end in (running.stop, running.kill):
            pid = running.executor_pid()
            end()
            eventually(lambda pid=pid: not is_alive(pid), what="the executor has ended")  # type: ignore[misc]
            running.start()


def test_a_reader_of_the_log_that_has_gone_costs_nothing_but_the_log(
    tmp_path: Path, target: TargetServer
) -> None:
    running = DaemonProcess(tmp_path, jobs_file(job("tick", f"{target.url}/ok", "every: 1s")))
    read, write = os.pipe()
    try:
        running.start(wait=False, stderr=write)
        os.close(write)
        os.close(read)
        target.wait_for(2)
        running.signal(signal.SIGTERM)
        running.wait()
        running.assert_all_is_well(target, every_s=1)
    finally:
        running.close()


def test_a_full_disk_under_the_log_costs_nothing_but_the_log(tmp_path: Path, target: TargetServer) -> None:
    running = DaemonProcess(tmp_path, jobs_file(job("tick", f"{target.url}/ok", "every: 1s")))
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        running.start(wait=False, stderr=full)
        os.close(full)
        target.wait_for(2)
        running.signal(signal.SIGTERM)
        running.wait()
        running.assert_all_is_well(target, every_s=1)
    finally:
        running.close()
