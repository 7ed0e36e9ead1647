"""Overlap: what happens to an occurrence whose job is still running."""

from tests.support.checker import gaps
from tests.support.daemon import DaemonProcess, eventually
from tests.support.jobs import QUICK, job, jobs_file
from tests.support.target import TargetServer

#: Requests for `/hold` have no response until the test releases them, however long its machine takes.
_HELD = "timeout: {total: 10m}"


def test_skip_leaves_out_what_would_overlap_and_names_what_is_in_its_way(
    shared: DaemonProcess, target: TargetServer
) -> None:
    shared.reload(jobs_file(job("slow", f"{target.url}/hold", "every: 1s", _HELD)))
    skipped = shared.wait_for(outcome="skipped", reason="overlap: ")
    first = target.wait_for(1)[0].headers["x-tminus-occurrence"]
    assert skipped[-1]["reason"] == f"overlap: {first} is still running (max_instances 1)"
    eventually(lambda: not gaps(shared.occurrences(), every_s=1), what="each fire time has a row")


def test_as_many_run_at_once_as_max_instances_says(shared: DaemonProcess, target: TargetServer) -> None:
    slow = job("slow", f"{target.url}/hold", "every: 1s", f"max_instances: 2, {_HELD}")
    shared.reload(jobs_file(slow))
    skipped = shared.wait_for(outcome="skipped", reason="overlap: ")
    both = [arrival.headers["x-tminus-occurrence"] for arrival in target.wait_for(2)[:2]]
    assert max(both) < skipped[-1]["id"]
    # Two batches of late fire times may be committed in any order.
    reasons = [f"overlap: {one} is still running (max_instances 2)" for one in both]
    assert skipped[-1]["reason"] in reasons
    eventually(lambda: not gaps(shared.occurrences(), every_s=1), what="each fire time has a row")


def test_allow_all_lets_them_overlap(shared: DaemonProcess, target: TargetServer) -> None:
    slow = job("slow", f"{target.url}/hold", "every: 1s", f"overlap: allow_all, {_HELD}")
    shared.reload(jobs_file(slow))
    shared.wait_for(rows=3, state="running")
    eventually(lambda: not gaps(shared.occurrences(), every_s=1), what="each fire time has a row")
    assert not any("overlap" in (one["reason"] or "") for one in shared.occurrences())


def test_every_second_starts_every_second(shared: DaemonProcess, target: TargetServer) -> None:
    shared.reload(jobs_file(job("tick", f"{target.url}/ok", "every: 1s")))
    target.wait_for(3)
    eventually(lambda: not gaps(shared.occurrences(), every_s=1), what="each fire time has a row")


def test_a_run_by_hand_is_skipped_like_any_other(shared: DaemonProcess, target: TargetServer) -> None:
    shared.reload(jobs_file(job("slow", f"{target.url}/hold", "manual", _HELD), daemon=QUICK))
    assert shared.tminus("run-now", "slow", "--no-wait").returncode == 0
    target.wait_for(1)
    said = shared.tminus("run-now", "slow")
    assert (said.returncode, "skipped\tslow" in said.stdout) == (1, True)
    target.release_held()
