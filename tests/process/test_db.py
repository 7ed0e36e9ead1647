"""`tminus db`, as an operator calls it."""

from pathlib import Path

from tests.support.daemon import daemon
from tests.support.jobs import job, jobs_file
from tests.support.postgres import a_schema_of_its_own
from tests.support.target import TargetServer


def test_a_ledger_moves_to_postgresql_and_the_daemon_goes_on_there(
    tmp_path: Path, target: TargetServer
) -> None:
    tick = jobs_file(job("tick", f"{target.url}/ok", "every: 1s"))
    with a_schema_of_its_own() as url, daemon(tmp_path / "here", tick) as running:
        running.wait_for(outcome="succeeded")
        in_use = running.tminus("db", "copy", url)
        assert (in_use.returncode, "is in use by daemon with pid" in in_use.stderr) == (1, True)
        assert running.stop() == 0
        before = {one["id"] for one in running.json("history")}
        assert running.tminus("db", "copy", url).returncode == 0
        with daemon(tmp_path / "there", tick, ledger=url) as moved:
            moved.wait_for(rows=len(before) + 2, outcome="succeeded")
            assert before <= {one["id"] for one in moved.json("history")}
            moved.assert_all_is_well(target)


def test_a_backup_is_made_and_checked_while_the_daemon_runs(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, jobs_file(job("tick", f"{target.url}/ok", "every: 1s"))) as running:
        running.wait_for(outcome="succeeded")
        assert running.tminus("db", "check").stdout == "the ledger is whole\n"
        file = tmp_path / "backup.db"
        assert running.tminus("db", "backup", str(file)).returncode == 0
        assert running.tminus("db", "backup", str(file)).returncode == 2
        assert running.tminus("db", "check", "--ledger", f"sqlite:///{file}").returncode == 0
        running.assert_all_is_well(target)


def test_upgrade_says_that_there_is_nothing_to_do(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, jobs_file(job("tick", f"{target.url}/ok", "manual"))) as running:
        assert running.stop() == 0
        assert running.tminus("db", "upgrade").stdout == "the ledger is up to date\n"
