"""`tminus audit` and `tminus why`, as an operator calls them."""

from pathlib import Path

from tests.support.daemon import daemon, eventually
from tests.support.jobs import job, jobs_file
from tests.support.target import TargetServer


def test_the_audit_finds_what_nobody_has_started(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, jobs_file(job("tick", f"{target.url}/ok", "every: 1s"))) as running:
        eventually(lambda: running.json("audit")["ok"] >= 3, what="three fire times are audited")
        well = running.tminus("audit", "--since", "-1h")
        assert (well.returncode, "as they should be" in well.stdout) == (0, True)
        assert running.stop() == 0
        found = eventually(
            lambda: running.json("audit")["missed"], what="a fire time has passed without a daemon"
        )
        assert found[0]["job"] == "tick"
        assert found[0]["detail"] == "it is not in the ledger"
        assert running.tminus("audit").returncode == 1


def test_a_stretch_that_ends_before_it_begins_is_wrong_usage(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, jobs_file(job("once", f"{target.url}/ok", "manual"))) as running:
        said = running.tminus("audit", "--since", "-1h", "--until", "-2h")
        assert (said.returncode, "is not after" in said.stderr) == (2, True)


def test_why_explains_a_run_by_its_time(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, jobs_file(job("tick", f"{target.url}/status/500", "every: 1s"))) as running:
        one = running.wait_for(outcome="failed")[-1]
        said = running.tminus("why", "tick", one["fire_time"])
        assert said.returncode == 0
        assert said.stdout.splitlines()[-1].endswith("and ended as failed: status: 500 instead of 2xx.")
        assert running.json("why", "tick", one["fire_time"])["occurrences"][0]["id"] == one["id"]
        assert running.tminus("why", "tock", "now").returncode == 4
