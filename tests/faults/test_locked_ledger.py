"""Another process keeps the SQLite ledger locked: nothing is released that is not written down, and no outcome is lost."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scheduler.instants import SECOND, parse_rfc3339
from tests.support.daemon import DaemonProcess, coming, daemon
from tests.support.jobs import job, jobs_file, many
from tests.support.moments import wait_until
from tests.support.target import TargetServer

IDLE = jobs_file(job("idle", "http://127.0.0.1:1/", "manual"))


@contextmanager
def locked(running: DaemonProcess) -> Iterator[None]:
    """Nobody else writes to the ledger within the block."""
    connection = sqlite3.connect(running.folder / "ledger" / "ledger.db", isolation_level=None, timeout=30)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def test_outcomes_that_come_meanwhile_are_written_afterwards(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, IDLE) as running:
        running.reload(jobs_file(many(20, f"{target.url}/delay/500", f"at: '{coming(3)}'")))
        target.wait_for(20)
        with locked(running):
            running.wait_until_said("batch")
            assert {one["state"] for one in running.occurrences()} == {"running"}
        assert {one["outcome"] for one in running.wait_for(rows=20, state="finished")} == {"succeeded"}
        running.assert_all_is_well(target)


def test_what_cannot_be_claimed_in_time_starts_late_once_it_can(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, IDLE) as running:
        running.reload(jobs_file(many(5, f"{target.url}/ok", f"at: '{(at := coming(4))}'")))
        with locked(running):
            wait_until(parse_rfc3339(at))
            assert target.arrivals == []
        assert {one["outcome"] for one in running.wait_for(rows=5, state="finished")} == {"succeeded"}
        running.assert_all_is_well(target)


def test_what_cannot_be_committed_within_its_grace_is_missed_and_not_sent(tmp_path: Path, target: TargetServer) -> None:
    with daemon(tmp_path, IDLE) as running:
        jobs = many(5, f"{target.url}/ok", f"at: '{(at := coming(4))}'", "misfire_grace_time: 500ms")
        running.reload(jobs_file(jobs, daemon="lead: 10s, reload: sighup"))
        running.wait_for(rows=5, state="claimed")
        with locked(running):
            wait_until(parse_rfc3339(at) + SECOND)
        ended = running.wait_for(rows=5, state="finished")
        assert {(one["outcome"], one["reason"]) for one in ended} == {("missed", "let go later than its misfire_grace_time")}
        running.assert_all_is_well(target)


def test_stopped_while_nothing_can_be_written_it_ends_with_1_and_leaves_the_rest_to_the_next_start(
    tmp_path: Path, target: TargetServer
) -> None:
    with daemon(tmp_path, IDLE) as running:
        sent = many(5, f"{target.url}/delay/500", f"at: '{coming(3)}'")
        later = job("later", f"{target.url}/ok", f"at: '{coming(13)}'")
        running.reload(jobs_file(sent + later, daemon="lead: 9500ms, reload: sighup, shutdown_grace: 1s"))
        target.wait_for(5)
        with locked(running):
            assert running.stop() == 1
        assert running.occurrences("later") == []
        running.start()
        assert {one["outcome"] for one in running.wait_for(rows=5, outcome="unknown")} == {"unknown"}
        running.wait_for(job="later", outcome="succeeded")
        running.assert_all_is_well(target)
