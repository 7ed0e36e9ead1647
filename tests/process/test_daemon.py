"""The daemon, as users start it."""

from pathlib import Path

from tests.support.daemon import daemon
from tests.support.target import TargetServer


def test_a_hundred_jobs_due_at_once_all_start_and_are_written_down(tmp_path: Path, target: TargetServer) -> None:
    jobs = "version: 1\njobs:\n" + "".join(
        f"  job_{i}: {{schedule: {{every: 3s}}, http: '{target.url}/job/{i}'}}\n" for i in range(100)
    )
    with daemon(tmp_path, jobs) as running:
        running.wait_until_said("batch")
        assert running.stop() == 0
    history = running.json("history", "--limit", "100")
    assert {one["outcome"] for one in history} == {"succeeded"}
    assert sorted(one["job"] for one in history) == sorted(f"job_{i}" for i in range(100))
    assert all(one["start_offset_ms"] >= 0 for one in history)
