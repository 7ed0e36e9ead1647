"""
A newer command changes no ledger that an older daemon may run on: whoever runs jobs and has the lock migrates
it.
"""

from pathlib import Path

from tests.support.daemon import DaemonProcess
from tests.support.jobs import job, jobs_file
from tests.support.ledgers import make_older
from tests.support.target import TargetServer
from tminus.ledger.engine import open_ledger
from tminus.ledger.lock import lock_of

COMMANDS = (["history"], ["status"], ["skew"], ["run-now", "pay", "--no-wait"])


def test_only_a_command_that_runs_jobs_migrates_and_only_if_nobody_else_does(
    tmp_path: Path, target: TargetServer
) -> None:
    idle = DaemonProcess(tmp_path, jobs_file(job("pay", f"{target.url}/ok", "manual")))
    make_older(idle.ledger, "0004")
    older = open_ledger(idle.ledger, upgrade=False, upgrade_later=True)
    lock = lock_of(older)
    assert lock.acquire()
    for arguments in (*COMMANDS, ["run-now", "pay"]):
        said = idle.tminus(*arguments)
        assert (said.returncode, "has schema 0004" in said.stderr) == (3, True), said.stderr
    assert target.arrivals == []
    lock.release()
    for arguments in COMMANDS:
        assert idle.tminus(*arguments).returncode == 3
    assert idle.tminus("run-now", "pay").returncode == 0
    assert idle.tminus("history").returncode == 0
    older.close()
    idle.close()


def test_a_daemon_migrates_at_its_start(tmp_path: Path, target: TargetServer) -> None:
    idle = DaemonProcess(tmp_path, jobs_file(job("tick", f"{target.url}/ok", "every: 1s")))
    make_older(idle.ledger, "0003")
    idle.start()
    target.wait_for(1)
    idle.assert_all_is_well(target)
    idle.close()
