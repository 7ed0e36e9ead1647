"""`cancel`, as an operator types it."""

import getpass
import socket
from pathlib import Path

from tests.support.daemon import DaemonProcess, daemon
from tests.support.jobs import QUICK, job, jobs_file
from tests.support.target import TargetServer

REASON = f"cancelled by {getpass.getuser()}@{socket.gethostname()}"


def test_a_mistaken_run_now_at_a_later_time_is_cancelled(shared: DaemonProcess, target: TargetServer) -> None:
    shared.reload(jobs_file(job("pay", f"{target.url}/ok", "manual"), daemon=QUICK))
    (one,) = shared.json("run-now", "pay", "--at", "+1h", "--no-wait")
    assert shared.json("cancel", one["id"]) == [{"id": one["id"], "cancelled": True}]
    (ended,) = shared.occurrences()
    assert (ended["outcome"], ended["reason"]) == ("cancelled", REASON)
    again = shared.tminus("cancel", one["id"])
    assert (again.returncode, again.stderr) == (1, f"error: {one['id']} is over: cancelled\n")
    assert target.arrivals == []


def test_one_between_two_attempts_makes_room_for_the_next(
    shared: DaemonProcess, target: TargetServer
) -> None:
    busy = job(
        "busy",
        f"{target.url}/statuses/503,200",
        "manual",
        "retry: {max_attempts: 2, initial_interval: 1h, jitter: none}",
    )
    shared.reload(jobs_file(busy, daemon=QUICK))
    (one,) = shared.json("run-now", "busy", "--no-wait")
    shared.wait_for_retry()
    said = shared.tminus("cancel", one["id"])
    assert (said.returncode, said.stdout) == (0, f"{one['id']} is cancelled\n")
    (second,) = shared.json("run-now", "busy")
    assert second["outcome"] == "succeeded"


def test_without_a_daemon_it_is_cancelled_before_the_next_one_starts_anything(
    tmp_path: Path, target: TargetServer
) -> None:
    url, retry = (
        f"{target.url}/statuses/503,200",
        "retry: {max_attempts: 2, initial_interval: 1h, jitter: none}",
    )
    with daemon(tmp_path, jobs_file(job("busy", url, "manual", retry), daemon=QUICK)) as running:
        (one,) = running.json("run-now", "busy", "--no-wait")
        running.wait_for_retry()
        running.kill()
        said = running.tminus("cancel", one["id"])
        assert (said.returncode, said.stderr) == (
            0,
            "no daemon runs on this ledger: the request waits until one starts\n",
        )
        running.start()
        (ended,) = running.wait_for(outcome="cancelled")
        assert ended["reason"] == REASON
        (second,) = running.json("run-now", "busy")
        assert second["outcome"] == "succeeded"
        running.assert_all_is_well(target)


def test_a_running_request_is_stopped_and_an_unknown_id_is_status_4(
    shared: DaemonProcess, target: TargetServer
) -> None:
    held = job("slow", f"{target.url}/hold", "manual", "timeout: {total: 10m}")
    shared.reload(jobs_file(held, daemon=QUICK))
    shared.tminus("run-now", "slow", "--no-wait")
    target.wait_for(1)
    (one,) = shared.wait_for(state="running")
    said = shared.tminus("cancel", one["id"])
    assert (said.returncode, said.stdout) == (0, f"{one['id']} is asked to stop\n")
    (ended,) = shared.wait_for(outcome="cancelled")
    assert ended["reason"] == REASON
    assert shared.tminus("cancel", "slow@2020-01-01T00:00:00Z").returncode == 4
    assert shared.tminus("cancel", "slow").returncode == 2
    target.release_held()
