"""One process at a time runs jobs on a ledger."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import DaemonProcess, coming, daemon, eventually
from tests.support.jobs import job, jobs_file
from tests.support.moments import PATIENCE_S
from tests.support.target import TargetServer


@pytest.fixture
def first(tmp_path: Path, target: TargetServer) -> Iterator[DaemonProcess]:
    """A daemon that holds the ledger."""
    with daemon(tmp_path / "first", jobs_file(job("tick", f"{target.url}/ok", "every: 1s"))) as running:
        yield running


def another(folder: Path, first: DaemonProcess, target: TargetServer) -> DaemonProcess:
    """A second one on the same ledger, not started yet."""
    (folder / "second").mkdir()
    return DaemonProcess(
        folder / "second", jobs_file(job("tick", f"{target.url}/ok", "every: 1s")), ledger=first.ledger
    )


def test_a_second_daemon_is_refused_and_told_who_has_the_ledger(
    tmp_path: Path, first: DaemonProcess, target: TargetServer
) -> None:
    second = another(tmp_path, first, target).start(wait=False)
    assert second.wait() == 1
    assert first.process is not None
    said = second.log_file.read_text()
    assert "is locked by daemon with pid" in said
    assert f"pid {first.process.pid} on " in said
    assert "hint: one daemon runs the jobs of a ledger" in said
    first.assert_all_is_well(target, every_s=1)


def test_after_a_kill_of_the_first_the_second_starts_and_goes_on(
    tmp_path: Path, first: DaemonProcess, target: TargetServer
) -> None:
    first.wait_for(outcome="succeeded")
    first.kill()
    second = another(tmp_path, first, target)
    try:
        second.start()
        target.wait_for(len(target.arrivals) + 2)
        second.assert_all_is_well(target, every_s=1)
    finally:
        second.close()


def test_a_daemon_waits_for_the_run_now_that_holds_the_ledger(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, jobs_file(job("later", f"{target.url}/ok", "manual"))) as running:
        running.stop()
        by_hand = subprocess.Popen(
            running.command("run-now", "later", "--at", coming(600)), env=running.environment()
        )
        running.wait_for(rows=1)
        running.start(wait=False)
        assert running.wait_until_said("waiting for the run-now that holds the ledger")["pid"] == by_hand.pid
        by_hand.send_signal(signal.SIGINT)
        assert by_hand.wait(PATIENCE_S) == 130
        running.wait_until_said("ready", times=2)
        running.assert_all_is_well(target)


def test_a_daemon_that_waits_can_be_stopped(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, jobs_file(job("slow", f"{target.url}/ok", "manual"))) as running:
        running.stop()
        by_hand = subprocess.Popen(
            running.command("run-now", "slow", "--at", coming(600)), env=running.environment()
        )
        eventually(lambda: running.wait_for(rows=1), what="it holds the ledger")
        running.start(wait=False)
        running.wait_until_said("waiting for the run-now that holds the ledger")
        assert running.stop() == 0
        by_hand.kill()
        by_hand.wait()
        assert target.arrivals == []
