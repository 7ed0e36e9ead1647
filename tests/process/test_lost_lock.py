"""
A daemon keeps the lock of its ledger, takes it again if it was lost, and ends if another process has taken
it.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.jobs import job, jobs_file
from tests.support.postgres import a_schema_of_its_own, a_server_of_its_own
from tests.support.target import TargetServer
from tminus.ledger.engine import open_ledger
from tminus.ledger.lock import is_held

LOST = "the lock of the ledger was lost, and taken again"


@contextmanager
def on(folder: Path, url: str, target: TargetServer) -> Iterator[DaemonProcess]:
    """A daemon with a job each second on this ledger."""
    with daemon(folder, jobs_file(job("tick", f"{target.url}/ok", "every: 1s")), ledger=url) as running:
        yield running


def second(folder: Path, url: str, target: TargetServer) -> DaemonProcess:
    """Another daemon, started on that ledger until it ends."""
    folder.mkdir()
    other = DaemonProcess(folder, jobs_file(job("tick", f"{target.url}/ok", "every: 1s")), ledger=url).start(
        wait=False
    )
    assert other.wait() == 1
    return other


@pytest.fixture
def postgresql() -> Iterator[str]:
    """A ledger in PostgreSQL."""
    with a_schema_of_its_own() as url:
        yield url


def end_sessions(url: str) -> None:
    """The server ends the session that holds the lock, and those in which its holder writes."""
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        found = connection.execute(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
            " AND ((classid::bigint << 32) | objid::bigint) IN"
            " (hashtextextended('tminus ' || current_schema(), 0), hashtextextended('tminus writers ' || current_schema(), 0))"
        ).fetchall()
        assert found
        pids = [pid for (pid,) in found]
        for pid in pids:  # its holder may have ended the others by then
            connection.execute("SELECT pg_terminate_backend(%s)", [pid])
        left = "SELECT pid FROM pg_stat_activity WHERE pid = ANY(%s)"
        eventually(lambda: not connection.execute(left, [pids]).fetchall(), what="the sessions have ended")


def test_a_daemon_by_another_name_of_the_database_is_refused(tmp_path: Path, target: TargetServer) -> None:
    with on(tmp_path / "first", f"sqlite:///{tmp_path}/ledger.db", target) as first:
        (tmp_path / "link.db").symlink_to(tmp_path / "ledger.db")
        assert first.process
        said = second(tmp_path / "second", f"sqlite:///{tmp_path}/link.db", target).log_file.read_text()
        assert f"is locked by daemon with pid {first.process.pid} on" in said
        first.assert_all_is_well(target, every_s=1)


def test_a_daemon_whose_lock_file_is_removed_makes_it_again_and_stays_the_only_one(
    tmp_path: Path, target: TargetServer
) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    with on(tmp_path / "first", url, target) as first:
        (tmp_path / "ledger.db.lock").unlink()
        second(tmp_path / "second", url, target)
        first.wait_until_said(LOST)
        assert (tmp_path / "ledger.db.lock").exists()
        first.assert_all_is_well(target, every_s=1)


def test_a_daemon_whose_session_ends_takes_the_lock_again(
    tmp_path: Path, postgresql: str, target: TargetServer
) -> None:
    with on(tmp_path / "first", postgresql, target) as first:
        end_sessions(postgresql)
        first.wait_until_said(LOST)
        second(tmp_path / "second", postgresql, target)
        first.assert_all_is_well(target, every_s=1)


def test_a_daemon_that_has_lost_the_lock_to_another_one_starts_nothing_more_and_ends(
    tmp_path: Path, postgresql: str, target: TargetServer
) -> None:
    (tmp_path / "second").mkdir()
    jobs = jobs_file(job("tick", f"{target.url}/ok", "every: 1s"))
    with on(tmp_path / "first", postgresql, target) as first:
        target.wait_for(1)
        first.suspend()
        end_sessions(postgresql)
        other = DaemonProcess(tmp_path / "second", jobs, ledger=postgresql).start(wait=False)
        try:
            # It begins nothing before the first one has noticed the loss, or has given no sign of life for a
            # while.
            other.wait_until_said("waiting for the end of the process that has lost the ledger's lock")
            assert other.said("ready") == []
            first.signal(signal.SIGCONT)
            assert first.wait() == 1
            other.wait_until_said("ready")
            said = first.wait_until_said("nothing more is started")["error"]
            assert said.startswith("another process has the lock of the ledger")
            first.wait_until_said("ended: another process runs jobs on the ledger now")
            target.wait_for(len(target.arrivals) + 2)
            other.assert_all_is_well(target)
        finally:
            other.close()


def test_a_daemon_has_the_lock_again_after_its_server_was_restarted(
    tmp_path: Path, target: TargetServer
) -> None:
    with a_server_of_its_own() as server:
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        with on(tmp_path / "first", url, target) as first:
            server.stop()
            server.start()
            first.wait_until_said(LOST)
            ledger = open_ledger(url, create=False)
            assert eventually(lambda: is_held(ledger))
            ledger.close()
            second(tmp_path / "second", url, target)
            target.wait_for(len(target.arrivals) + 2)
            first.assert_all_is_well(target)
