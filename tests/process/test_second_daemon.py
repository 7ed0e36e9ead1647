"""One process at a time runs jobs on a ledger."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import DaemonProcess, coming, daemon
from tests.support.jobs import job, jobs_file
from tests.support.target import TargetServer
from tminus.ledger.engine import open_ledger


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


@pytest.fixture
def idle(tmp_path: Path, target: TargetServer) -> Iterator[DaemonProcess]:
    """A daemon that has not been started, on a ledger that is there."""
    idle = DaemonProcess(tmp_path, jobs_file(job("later", f"{target.url}/ok", "manual")))
    open_ledger(idle.ledger).close()
    yield idle
    idle.close()


def test_a_daemon_waits_for_the_run_now_that_holds_the_ledger(idle: DaemonProcess) -> None:
    with idle.beside("run-now", "later", "--at", coming(600)) as by_hand:
        idle.wait_for(rows=1)
        idle.start(wait=False)
        assert idle.wait_until_said("waiting for the run-now that holds the ledger")["pid"] == by_hand.pid
        assert by_hand.interrupt() == 130
        idle.wait_until_said("ready")
    assert idle.stop() == 0


def test_a_daemon_that_waits_can_be_stopped(idle: DaemonProcess, target: TargetServer) -> None:
    with idle.beside("run-now", "later", "--at", coming(600)):
        idle.wait_for(rows=1)
        idle.start(wait=False)
        idle.wait_until_said("waiting for the run-now that holds the ledger")
        assert idle.stop() == 0
    assert target.arrivals == []
