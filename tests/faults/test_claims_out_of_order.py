"""
A later fire time gets its row before an earlier one, and then the daemon ends: the next start sees the gap,
and closes it.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pysqlite3 import dbapi2

from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.jobs import job, jobs_file, many
from tests.support.ledgers import opened
from tests.support.moments import PATIENCE_S, wait_until
from tests.support.postgres import a_schema_of_its_own
from tests.support.target import TargetServer
from tests.support.values import a_due, a_job
from tminus.clock import SystemClock
from tminus.instants import MS, SECOND, parse_rfc3339
from tminus.ledger.rows import insert_new, new_row
from tminus.outcome import OccurrenceState

FAST = "lead: 1s, reload: sighup, shutdown_grace: 1s"


def newest_ns(running: DaemonProcess) -> int:
    return max((parse_rfc3339(one["fire_time"]) for one in running.occurrences()), default=0)


def wait_for_a_row_after(running: DaemonProcess, instant_ns: int) -> None:
    eventually(lambda: newest_ns(running) > instant_ns, what="a later fire time has a row")


def go_on_and_judge(running: DaemonProcess, target: TargetServer, *, every_s: float) -> None:
    """Start again, until something new has run; then no fire time may be without a row."""
    running.start()
    wait_for_a_row_after(running, newest_ns(running))
    running.assert_all_is_well(target, every_s=every_s)


@contextmanager
def claimed_by_another(url: str, name: str, every_ns: int) -> Iterator[int]:
    """
    Hold the row of a fire time in an open transaction, which is rolled back at the end; yield that fire time.
    """
    with opened(url) as ledger, ledger.own_connection() as connection:
        connection.exec_driver_sql("BEGIN")
        fire_time_ns = (SystemClock().wall_ns() // every_ns + 2) * every_ns
        due = a_due(a_job(name), fire_time_ns=fire_time_ns)
        insert_new(connection, [new_row(due, state=OccurrenceState.CLAIMED.value)])
        yield fire_time_ns
        connection.exec_driver_sql("ROLLBACK")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped-in-order"])
def test_on_postgresql_while_another_holds_the_row_of_the_earlier_one(
    tmp_path: Path, target: TargetServer, number: signal.Signals
) -> None:
    tick = jobs_file(job("tick", f"{target.url}/ok", "every: 2s", "overlap: allow_all"), daemon=FAST)
    with a_schema_of_its_own() as url, daemon(tmp_path, tick, ledger=url) as running:
        running.wait_for(outcome="succeeded")
        with claimed_by_another(url, "tick", 2 * SECOND) as held_ns:
            wait_for_a_row_after(running, held_ns)
            assert held_ns not in {parse_rfc3339(one["fire_time"]) for one in running.occurrences()}
            running.signal(number)
            running.wait()
        go_on_and_judge(running, target, every_s=2)


def test_on_sqlite_after_another_has_held_the_writer(tmp_path: Path, target: TargetServer) -> None:
    ticks = jobs_file(many(5, f"{target.url}/ok", "every: 1s", "overlap: allow_all"), daemon=FAST)
    with daemon(tmp_path, ticks) as running:
        for _ in range(2):
            if running.has_ended():
                running.start()
            wait_for_a_row_after(running, newest_ns(running))
            other = dbapi2.connect(
                running.folder / "ledger" / "ledger.db", isolation_level=None, timeout=PATIENCE_S
            )
            other.execute("BEGIN IMMEDIATE")
            before = newest_ns(running)
            wait_until(SystemClock().wall_ns() + 3300 * MS)
            other.execute("ROLLBACK")
            other.close()
            wait_for_a_row_after(running, before)
            running.kill()
        go_on_and_judge(running, target, every_s=1)


def test_after_the_daemon_was_stopped_for_a_while(tmp_path: Path, target: TargetServer) -> None:
    """
    The late fire time that runs is claimed at once; what says of the others that they were missed waits for
    the recorder.
    """
    grace = "misfire_grace_time: 1500ms, overlap: allow_all"
    with daemon(tmp_path, jobs_file(many(5, f"{target.url}/ok", "every: 1s", grace), daemon=FAST)) as running:
        running.wait_for(outcome="succeeded")
        running.suspend()
        before = newest_ns(running)
        wait_until(before + 5 * SECOND)
        running.signal(signal.SIGCONT)
        wait_for_a_row_after(running, before + 3 * SECOND)
        running.kill()
        go_on_and_judge(running, target, every_s=1)
