"""
The disk of the ledger is full, read-only or broken: nothing is released that is not written down, no outcome
is lost, and the daemon goes on by itself as soon as the disk does.
"""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broken_disk import Disk, failing, small
from tests.support.daemon import DaemonProcess, coming, daemon, eventually
from tests.support.jobs import job, jobs_file, many
from tests.support.moments import wait_until
from tests.support.target import TargetServer
from tminus.instants import SECOND, parse_rfc3339, rfc3339

#: Several times as much as SQLite's write-ahead log takes.
SIZE = "24m"
KEPT = "the ledger does not take outcomes, they are in the journal"
IN_MEMORY = "the journal cannot be written, outcomes are kept in memory"
#: The reason depends on how long the last try of the commit took.
NOT_COMMITTED = (
    "its start could not be written to the ledger in time",
    "released later than its misfire_grace_time",
)
IDLE = jobs_file(job("idle", "http://127.0.0.1:1/", "manual"))


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Disk]:
    with small(tmp_path / "ledger", SIZE) as disk:
        yield disk


@contextlib.contextmanager
def disk_of(kind: str, tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "ledger"
    kinds = {"read-only": errno.EROFS, "broken": errno.EIO}
    with small(folder, SIZE) if kind == "full" else failing(folder, tmp_path, kinds[kind]) as disk:
        yield disk


def in_journal(running: DaemonProcess) -> int:
    return sum(line["outcomes"] for line in running.said(KEPT))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        pytest.param("full", KEPT, id="full"),
        pytest.param("read-only", IN_MEMORY, id="read-only", marks=pytest.mark.long),
        pytest.param("broken", IN_MEMORY, id="with-errors-of-input-and-output", marks=pytest.mark.long),
    ],
)
def test_a_disk_that_takes_nothing_for_a_while_costs_only_what_was_due_meanwhile(
    tmp_path: Path, target: TargetServer, kind: str, said: str
) -> None:
    with disk_of(kind, tmp_path) as disk, daemon(tmp_path, IDLE, env=dict(disk.environment)) as running:
        grace = "misfire_grace_time: 500ms"
        first = parse_rfc3339(coming(8))
        jobs = many(5, f"{target.url}/hold", f"at: '{coming(3)}'")
        jobs += job("claimed", f"{target.url}/ok", f"at: '{rfc3339(first)}'", grace)
        jobs += job("due", f"{target.url}/ok", f"at: '{rfc3339(first + 8 * SECOND)}'", grace)
        jobs += job("after", f"{target.url}/ok", "every: 1s", grace)
        running.reload(jobs_file(jobs, daemon="lead: 7s, reload: sighup"))
        running.wait_for(job="claimed", state="claimed")
        target.wait_for(5)
        disk.break_it()
        target.release_held()
        running.wait_until_said(said)
        wait_until(first + 9 * SECOND)
        sent = len([one for one in target.arrivals if one.headers["x-tminus-job"] == "after"])
        disk.mend()
        running.wait_for(rows=5, outcome="succeeded")
        (claimed,) = running.wait_for(job="claimed", state="finished")
        (due,) = running.wait_for(job="due", state="finished")
        assert (claimed["outcome"], claimed["reason"] in NOT_COMMITTED) == ("missed", True)
        assert (due["outcome"], due["reason"]) == ("missed", "the ledger could not be written in time")
        eventually(lambda: len(target.arrivals) > sent + 8, what="it goes on")
        assert not [one for one in running.occurrences() if one["outcome"] == "unknown"]
        running.assert_all_is_well(target)


def test_outcomes_that_a_full_disk_did_not_take_survive_kill_9(
    tmp_path: Path, target: TargetServer, full: Disk
) -> None:
    with daemon(tmp_path, IDLE) as running:
        running.reload(jobs_file(many(50, f"{target.url}/hold", f"at: '{coming(3)}'")))
        target.wait_for(50)
        full.break_it()
        target.release_held()
        eventually(lambda: in_journal(running) == 50, what="the journal has all")
        running.kill()
        full.mend()
        running.start()
        assert {one["outcome"] for one in running.wait_for(rows=50, state="finished")} == {"succeeded"}
        running.assert_all_is_well(target)
