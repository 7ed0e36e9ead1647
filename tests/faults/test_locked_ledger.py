"""
Another process keeps the ledger locked, or its database is away: nothing is released that is not written
down, and no outcome is lost.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pysqlite3 import dbapi2

from tests.support.daemon import DaemonProcess, coming, daemon, eventually
from tests.support.jobs import job, jobs_file, many
from tests.support.moments import PATIENCE_S, wait_until
from tests.support.postgres import a_server_of_its_own
from tests.support.target import TargetServer
from tminus.instants import SECOND, parse_rfc3339

KEPT = "the ledger does not take outcomes, they are in the journal"
IDLE = jobs_file(job("idle", "http://127.0.0.1:1/", "manual"))


@contextmanager
def locked(running: DaemonProcess) -> Iterator[None]:
    """Nobody else writes to the ledger within the block."""
    connection = dbapi2.connect(
        running.folder / "ledger" / "ledger.db", isolation_level=None, timeout=PATIENCE_S
    )
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def test_outcomes_that_come_meanwhile_are_written_afterwards(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, IDLE) as running:
        running.reload(jobs_file(many(20, f"{target.url}/hold", f"at: '{coming(3)}'")))
        target.wait_for(20)
        with locked(running):
            target.release_held()
            running.wait_until_said("batch")
            assert {one["state"] for one in running.occurrences()} == {"running"}
        assert {one["outcome"] for one in running.wait_for(rows=20, state="finished")} == {"succeeded"}
        running.assert_all_is_well(target)


def test_what_cannot_be_claimed_in_time_starts_late_once_it_can(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, IDLE) as running:
        running.reload(jobs_file(many(5, f"{target.url}/ok", f"at: '{(at := coming(6))}'")))
        with locked(running):
            wait_until(parse_rfc3339(at))
            assert target.arrivals == []
        assert {one["outcome"] for one in running.wait_for(rows=5, state="finished")} == {"succeeded"}
        running.assert_all_is_well(target)


def test_what_cannot_be_committed_within_its_grace_is_missed_and_not_sent(
    tmp_path: Path, target: TargetServer
) -> None:
    with daemon(tmp_path, IDLE) as running:
        jobs = many(5, f"{target.url}/ok", f"at: '{(at := coming(6))}'", "misfire_grace_time: 500ms")
        running.reload(jobs_file(jobs, daemon="lead: 10s, reload: sighup"))
        running.wait_for(rows=5, state="claimed")
        with locked(running):
            wait_until(parse_rfc3339(at) + SECOND)
        ended = running.wait_for(rows=5, state="finished")
        assert {(one["outcome"], one["reason"]) for one in ended} == {
            ("missed", "released later than its misfire_grace_time")
        }
        running.assert_all_is_well(target)


def test_stopped_while_nothing_can_be_written_it_leaves_the_rest_to_the_next_start(
    tmp_path: Path, target: TargetServer
) -> None:
    with daemon(tmp_path, IDLE) as running:
        sent = many(5, f"{target.url}/hold", f"at: '{coming(3)}'")
        later = job("later", f"{target.url}/ok", f"at: '{(at := coming(12))}'")
        running.reload(jobs_file(sent + later, daemon="lead: 4s, reload: sighup, shutdown_grace: 1s"))
        target.wait_for(5)
        with locked(running):
            target.release_held()
            wait_until(parse_rfc3339(at) - 3 * SECOND)  # its claim is being tried
            assert running.stop() == 0
        assert running.occurrences("later") == []
        assert {one["state"] for one in running.occurrences()} == {"running"}
        running.start()
        running.wait_for(rows=6, outcome="succeeded")
        running.assert_all_is_well(target)


def test_outcomes_that_a_locked_ledger_did_not_take_survive_kill_9(
    tmp_path: Path, target: TargetServer
) -> None:
    with daemon(tmp_path, IDLE) as running:
        running.reload(jobs_file(many(20, f"{target.url}/hold", f"at: '{coming(3)}'")))
        target.wait_for(20)
        with locked(running):
            target.release_held()
            eventually(lambda: sum(line["outcomes"] for line in running.said(KEPT)) == 20, what=KEPT)
            running.kill()
        running.start()
        assert {one["outcome"] for one in running.wait_for(rows=20, state="finished")} == {"succeeded"}
        running.assert_all_is_well(target)
        assert not list((tmp_path / "ledger").glob("*.outcomes-*"))


def test_outcomes_that_an_absent_postgresql_did_not_take_survive_kill_9(
    tmp_path: Path, target: TargetServer
) -> None:
    with a_server_of_its_own() as server:
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        with daemon(tmp_path, IDLE, ledger=url) as running:
            running.reload(jobs_file(many(5, f"{target.url}/hold", f"at: '{coming(3)}'")))
            target.wait_for(5)
            server.stop()
            target.release_held()
            eventually(lambda: sum(line["outcomes"] for line in running.said(KEPT)) == 5, what=KEPT)
            running.kill()
            assert [one.name[:20] for one in (tmp_path / "state" / "tminus").iterdir()] == [
                "postgresql.outcomes-"
            ]
            server.start()
            running.start()
            assert {one["outcome"] for one in running.wait_for(rows=5, state="finished")} == {"succeeded"}
            running.assert_all_is_well(target)
