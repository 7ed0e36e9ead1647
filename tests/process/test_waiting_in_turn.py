"""Commands and daemons that find the ledger held by a `run-now` wait in turn, the daemon first."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.daemon import DaemonProcess, coming, eventually
from tests.support.jobs import QUICK, job, jobs_file, many
from tests.support.ledgers import opened
from tests.support.postgres import a_schema_of_its_own
from tests.support.target import TargetServer
from tminus.clock import SystemClock
from tminus.ledger import instances, requests
from tminus.ledger.engine import open_ledger
from tminus.ledger.lock import lock_of
from tminus.ledger.tables import instances as instance_rows

COMMANDS = 2


@pytest.fixture(params=["sqlite", "postgresql"])
def idle(request: pytest.FixtureRequest, tmp_path: Path, target: TargetServer) -> Iterator[DaemonProcess]:
    """A daemon that has not been started, with a ledger of each kind."""
    jobs = jobs_file(many(COMMANDS + 1, f"{target.url}/ok", "manual"), daemon=QUICK)
    if request.param == "sqlite":
        idle = DaemonProcess(tmp_path, jobs)
        yield idle
        idle.close()
        return
    with a_schema_of_its_own() as url:
        idle = DaemonProcess(tmp_path, jobs, ledger=url)
        yield idle
        idle.close()


def test_a_daemon_goes_before_the_commands_that_wait_and_runs_what_they_ask_for(
    idle: DaemonProcess, target: TargetServer
) -> None:
    open_ledger(idle.ledger).close()
    first, *others = (f"job_{number}" for number in range(COMMANDS + 1))
    with ExitStack() as stack:
        holder = stack.enter_context(idle.beside("run-now", first, "--at", coming(600)))
        idle.wait_for(rows=1)
        waiting = [stack.enter_context(idle.beside("run-now", name)) for name in others]
        for command in waiting:
            command.wait_until_it_says("waiting for the run-now with pid")
        idle.start(wait=False)
        idle.wait_until_said("waiting for the run-now that holds the ledger")
        assert holder.interrupt() == 130, holder.stderr
        assert [command.wait() for command in waiting] == [0] * COMMANDS
    with opened(idle.ledger) as ledger, ledger.read() as connection:
        kinds = connection.scalars(sa.select(instance_rows.c.kind).order_by(instance_rows.c.started_ns)).all()
    assert kinds == ["run-now", "daemon"]
    idle.assert_all_is_well(target)


def test_a_daemon_waits_for_the_session_of_one_that_was_killed(idle: DaemonProcess) -> None:
    with opened(idle.ledger) as ledger, subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("os.getpid", lambda: gone.pid)
            instances.register(ledger, kind="daemon", config_version=None, now_ns=SystemClock().wall_ns())
        session = lock_of(ledger)
        assert session.acquire()
        idle.start(wait=False)
        idle.wait_until_said("the last daemon was killed, waiting for the ledger's lock")
        session.release()
    idle.wait_until_said("ready")
    assert idle.stop() == 0


def test_a_command_that_finds_a_silent_daemon_ends_with_3_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    idle = DaemonProcess(tmp_path, jobs_file(job("pay", "http://127.0.0.1:1/", "manual")))
    with opened(idle.ledger) as ledger:
        instances.register(ledger, kind="daemon", config_version=None, now_ns=1)
        lock = lock_of(ledger)
        assert lock.acquire()
        for arguments in (["run-now", "pay"], ["run-now", "pay", "--no-wait"]):
            said = idle.tminus(*arguments)
            assert (said.returncode, "holds the ledger and does not answer" in said.stderr) == (3, True)
            assert requests.pending(ledger) == []
        lock.release()
    idle.close()


def test_without_a_daemon_a_command_says_that_it_runs_the_job_itself(
    tmp_path: Path, target: TargetServer
) -> None:
    idle = DaemonProcess(tmp_path, jobs_file(job("pay", f"{target.url}/ok", "manual"), daemon=QUICK))
    said = idle.tminus("run-now", "pay")
    assert said.returncode == 0
    assert "no daemon runs on this ledger: this command runs the jobs" in said.stderr
    left = idle.tminus("run-now", "pay", "--no-wait")
    assert (left.returncode, left.stdout) == (0, "")
    assert "no daemon runs on this ledger: the request waits until one starts" in left.stderr
    assert eventually(lambda: len(target.arrivals) == 1)
    idle.close()
