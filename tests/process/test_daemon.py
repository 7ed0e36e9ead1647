"""The daemon, as users start it."""

from pathlib import Path

from tests.support.daemon import daemon
from tests.support.target import TargetServer


def test_a_hundred_jobs_due_at_once_all_start_and_are_written_down(tmp_path: Path, target: TargetServer) -> None:
    jobs = "version: 1\njobs:\n" + "".join(
        f"  job_{i}: {{schedule: {{every: 3s}}, http: '{target.url}/job/{i}'}}\n" for i in range(100)
    )
    with daemon(tmp_path, jobs) as running:
        planned_at = running.wait_until_said("batch")["planned_at"]
        assert running.stop() == 0
    # On a busy machine a later batch may find the first one still running, and is skipped.
    history = [one for one in running.json("history", "--limit", "10000") if one["planned_at"] == planned_at]
    assert {one["outcome"] for one in history} == {"succeeded"}
    assert sorted(one["job"] for one in history) == sorted(f"job_{i}" for i in range(100))
    assert all(one["start_offset_ms"] >= 0 for one in history)
