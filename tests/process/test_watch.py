"""`watch`, as an operator types it."""

from pathlib import Path

from tests.support.daemon import daemon
from tests.support.jobs import job, jobs_file
from tests.support.target import TargetServer


def test_watch_waits_for_the_next_batch_and_prints_its_report(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, jobs_file(job("tick", f"{target.url}/ok", "every: 5s"))) as running:
        said = running.tminus("watch")
        assert said.returncode == 0, said.stderr
        assert said.stderr.splitlines()[-1] == "1 of 1 done"
        assert ": 1 of 1 started\n" in said.stdout
        (newest,) = running.json("history", "--limit", "1")
        assert running.json("watch", newest["planned_at"]) == running.json("skew", newest["planned_at"])
        assert running.tminus("watch", "2020-01-01T00:00:00Z").returncode == 4
        running.assert_all_is_well(target)
