"""Overlap: buffer_one and buffer_all let an occurrence wait until an earlier one ends, also over a restart."""

from pathlib import Path
from typing import Any

from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.jobs import job, jobs_file
from tests.support.moments import wait_until
from tests.support.target import TargetServer
from tminus.clock import SystemClock
from tminus.instants import SECOND, parse_rfc3339

AT_ONCE = "lead: 200ms, shutdown_grace: 0s, reload: sighup"


def run_now(running: DaemonProcess, *names: str) -> None:
    assert running.tminus("run-now", *names, "--no-wait").returncode == 0


def waiting(running: DaemonProcess) -> list[dict[str, Any]]:
    """What is queued past its T, when its commit has decided that it waits."""
    now_ns = SystemClock().wall_ns()
    return [
        one
        for one in running.occurrences()
        if one["state"] == "queued" and parse_rfc3339(one["planned_at"]) < now_ns
    ]


def test_buffer_all_runs_each_one_after_the_other_without_a_misfire(
    shared: DaemonProcess, target: TargetServer
) -> None:
    policies = "overlap: buffer_all, misfire_grace_time: 1s"
    jobs = jobs_file(job("slow", f"{target.url}/hold", "manual", policies), daemon=AT_ONCE)
    shared.reload(jobs)
    for count in range(3):
        run_now(shared, "slow")
        eventually(lambda count=count: len(waiting(shared)) == count, what="they wait")  # type: ignore[misc]
    wait_until(SystemClock().wall_ns() + SECOND)
    target.release_held()
    ended = shared.wait_for(rows=3, state="finished")
    assert {one["outcome"] for one in ended} == {"succeeded"}
    arrivals = [one.headers["x-tminus-occurrence"] for one in target.arrivals]
    assert arrivals == sorted(arrivals)


def test_fire_times_that_wait_run_one_after_the_other(shared: DaemonProcess, target: TargetServer) -> None:
    jobs = jobs_file(job("slow", f"{target.url}/hold", "every: 2s", "overlap: buffer_all"), daemon=AT_ONCE)
    shared.reload(jobs)
    target.wait_for(1)
    eventually(lambda: len(waiting(shared)) > 1, what="two wait")
    waited = {one["id"] for one in waiting(shared)}
    target.release_held()
    eventually(
        lambda: waited <= {one["id"] for one in shared.occurrences() if one["outcome"] == "succeeded"},
        what="those that waited have run",
    )
    arrivals = [one.headers["x-tminus-occurrence"] for one in target.arrivals]
    assert arrivals == sorted(arrivals)


def test_buffer_one_skips_what_comes_while_one_waits(shared: DaemonProcess, target: TargetServer) -> None:
    jobs = jobs_file(job("slow", f"{target.url}/hold", "manual", "overlap: buffer_one"), daemon=AT_ONCE)
    shared.reload(jobs)
    run_now(shared, "slow")
    target.wait_for(1)
    run_now(shared, "slow")
    eventually(lambda: waiting(shared), what="one waits")
    run_now(shared, "slow")
    (skipped,) = shared.wait_for(outcome="skipped")
    target.release_held()
    words = "overlap: an earlier occurrence waits already (buffer_one, max_instances 1)"
    assert skipped["reason"] == words
    shared.wait_for(rows=2, outcome="succeeded")


def test_what_waits_survives_a_kill(tmp_path: Path, target: TargetServer) -> None:
    policies = "overlap: buffer_all, misfire_grace_time: 1s"
    jobs = jobs_file(job("slow", f"{target.url}/stall", "manual", policies), daemon=AT_ONCE)
    with daemon(tmp_path, jobs) as running:
        run_now(running, "slow")
        target.wait_for(1)
        run_now(running, "slow")
        eventually(lambda: waiting(running), what="one waits")
        running.kill()
        running.write(jobs.replace("/stall", "/ok"))
        running.start()
        running.wait_for(outcome="succeeded")
        assert {one["outcome"] for one in running.wait_for(rows=2, state="finished")} == {
            "succeeded",
            "unknown",
        }
        running.assert_all_is_well(target)
