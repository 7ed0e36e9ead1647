"""`retry`, as an operator types it."""

from pathlib import Path

from tests.support.daemon import coming, daemon
from tests.support.jobs import job, jobs_file
from tests.support.target import TargetServer


def test_a_failed_day_is_run_again_with_its_own_day(tmp_path: Path, target: TargetServer) -> None:
    url = f"{target.url}/statuses/503,200?at={{{{ fire_time }}}}"
    with daemon(tmp_path, jobs_file(job("day", url, f"at: '{coming(3)}'"))) as running:
        (failed,) = running.wait_for(outcome="failed")
        (again,) = running.json("retry", failed["id"])
        assert (again["id"], again["retry_of"]) == (f"{failed['id']}~1", failed["id"])
        (ended,) = running.wait_for(id=again["id"], outcome="succeeded")
        assert (ended["fire_time"], ended["origin"]) == (failed["fire_time"], "manual")
        first, second = target.arrivals
        assert first.path == second.path
        assert second.headers["x-tminus-occurrence"] == again["id"]
        (kept,) = running.wait_for(id=failed["id"])
        assert kept == failed
        running.assert_all_is_well(target)


def test_what_is_running_or_unknown_is_not_run_again(tmp_path: Path, target: TargetServer) -> None:
    held = job("slow", f"{target.url}/hold", "manual", "timeout: {total: 10m}")
    with daemon(tmp_path, jobs_file(held)) as running:
        (one,) = running.json("run-now", "slow", "--no-wait")
        target.wait_for(1)
        running.wait_for(state="running")
        said = running.tminus("retry", one["id"])
        assert (said.returncode, said.stderr) == (1, f"error: {one['id']} is not over: it is running\n")
        assert running.tminus("retry", "slow@2020-01-01T00:00:00Z").returncode == 4
        assert running.tminus("retry", "slow").returncode == 2
        target.release_held()
        running.assert_all_is_well(target)
