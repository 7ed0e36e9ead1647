"""Overlap: what happens to an occurrence whose job is still running."""

from pathlib import Path

from tests.support.daemon import daemon
from tests.support.jobs import job, jobs_file
from tests.support.target import TargetServer

#: Requests for `/hold` have no response until the test releases them, however long its machine takes.
_HELD = "timeout: {total: 10m}"


def test_skip_leaves_out_what_would_overlap_and_names_what_is_in_its_way(
    tmp_path: Path, target: TargetServer
) -> None:
    with daemon(tmp_path, jobs_file(job("slow", f"{target.url}/hold", "every: 1s", _HELD))) as running:
        skipped = running.wait_for(outcome="skipped", reason="overlap: ")
        first = target.wait_for(1)[0].headers["x-tminus-occurrence"]
        assert skipped[-1]["reason"] == f"overlap: {first} is still running (max_instances 1)"
        target.release_held()
        running.assert_all_is_well(target, every_s=1)


def test_as_many_run_at_once_as_max_instances_says(tmp_path: Path, target: TargetServer) -> None:
    slow = job("slow", f"{target.url}/hold", "every: 1s", f"max_instances: 2, {_HELD}")
    with daemon(tmp_path, jobs_file(slow)) as running:
        skipped = running.wait_for(outcome="skipped", reason="overlap: ")
        both = [arrival.headers["x-tminus-occurrence"] for arrival in target.wait_for(2)[:2]]
        assert max(both) < skipped[-1]["id"]
        # Two batches of late fire times may be committed in any order.
        reasons = [f"overlap: {one} is still running (max_instances 2)" for one in both]
        assert skipped[-1]["reason"] in reasons
        target.release_held()
        running.assert_all_is_well(target, every_s=1)


def test_allow_all_lets_them_overlap(tmp_path: Path, target: TargetServer) -> None:
    slow = job("slow", f"{target.url}/hold", "every: 1s", f"overlap: allow_all, {_HELD}")
    with daemon(tmp_path, jobs_file(slow)) as running:
        running.wait_for(rows=3, state="running")
        target.release_held()
        running.assert_all_is_well(target, every_s=1)
        assert not any("overlap" in (one["reason"] or "") for one in running.occurrences())


def test_every_second_starts_every_second(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, jobs_file(job("tick", f"{target.url}/ok", "every: 1s"))) as running:
        target.wait_for(5)
        running.assert_all_is_well(target, every_s=1)


def test_a_run_by_hand_is_skipped_like_any_other(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, jobs_file(job("slow", f"{target.url}/hold", "manual", _HELD))) as running:
        assert running.tminus("run-now", "slow", "--no-wait").returncode == 0
        target.wait_for(1)
        said = running.tminus("run-now", "slow")
        assert (said.returncode, "skipped\tslow" in said.stdout) == (1, True)
        target.release_held()
        running.assert_all_is_well(target)
