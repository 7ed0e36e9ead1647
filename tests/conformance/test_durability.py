"""
`kill -9` in the middle of writing: the ledger opens, what was said to be written is there, and no half batch.
"""

import contextlib
import random
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.ledgers import T, count, full_url, open_it, opened, released, write_batches
from tests.support.other_process import another_process
from tminus.instants import SECOND
from tminus.ledger import history, outcomes
from tminus.ledger.engine import Ledger
from tminus.ledger.tables import attempts
from tminus.model.occurrence import Occurrence
from tminus.outcome import OccurrenceState, Outcome

JOBS = 25


@pytest.fixture(params=[0, *(pytest.param(number, marks=pytest.mark.long) for number in (1, 2))])
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Moments drawn anew each time, and shown where one of them breaks something."""
    seed = f"{random.random()}-{request.param}"
    print(f"seed {seed}")
    return random.Random(seed)


def write_and_be_killed(url: str, *, first: int, messages: int) -> dict[str, set[int]]:
    """
    What a process that writes batch after batch has said before it was killed, at some moment after that many
    messages.
    """
    said: dict[str, set[int]] = {"claimed": set(), "released": set(), "recorded": set()}
    with another_process(write_batches, url, first, JOBS) as writer:
        for _ in range(messages):
            what, number = writer.hears()
            said[what].add(number)
        writer.kill()
        for what, number in writer.hears_all():  # on the way when it was killed
            said[what].add(number)
    return said


def batches(ledger: Ledger) -> dict[int, list[Occurrence]]:
    found: dict[int, list[Occurrence]] = {}
    for one in history.find(ledger):
        found.setdefault((one.planned_at_ns - T) // SECOND, []).append(one)
    return found


@pytest.mark.processes
def test_kill_9_at_any_moment_loses_nothing_that_was_said_and_leaves_no_half_batch(
    ledger: Ledger, chance: random.Random
) -> None:
    url, first = full_url(ledger.url), 0
    said: dict[str, set[int]] = {"claimed": set(), "released": set(), "recorded": set()}
    for _ in range(5):
        for what, numbers in write_and_be_killed(url, first=first, messages=chance.randrange(1, 30)).items():
            said[what] |= numbers
        with opened(url) as after:
            _wait_for_the_server(after)
            found = batches(after)
            let_go = {(at - T) // SECOND for at in released(after)}
            assert said["claimed"] <= found.keys()
            assert said["released"] <= let_go
            assert {len(batch) for batch in found.values()} == {JOBS}
            for number, batch in found.items():
                states = {one.state for one in batch}
                assert len(states) == 1, f"half of batch {number}: {Counter(one.state for one in batch)}"
                assert (OccurrenceState.FINISHED in states) or number not in said["recorded"]
                assert (OccurrenceState.CLAIMED in states) is (number not in let_go)
        first = max(found) + 1
    _judge_what_was_running(ledger, said["recorded"])


def _wait_for_the_server(ledger: Ledger) -> None:
    """PostgreSQL may still be at the last thing that a killed client has asked for."""
    if ledger.path is None:
        with ledger.write() as connection:
            connection.execute(sa.text("LOCK TABLE releases, occurrences IN ACCESS EXCLUSIVE MODE"))


def _judge_what_was_running(ledger: Ledger, recorded: set[int]) -> None:
    """After the start that follows: what was let go is `unknown`, and what has ended stays as it is."""
    ended = {one.id for one in history.find(ledger) if one.outcome is not None}
    lost = [one for one in history.unfinished(ledger) if one.state is OccurrenceState.RUNNING]
    assert outcomes.unknown_after_crash(ledger, now_ns=T, reason="killed") == len(lost)
    for one in history.find(ledger):
        if one.id in ended:
            assert one.outcome is Outcome.SUCCEEDED
        elif one.planned_at_ns in released(ledger):
            assert (one.outcome, one.reason) == (Outcome.UNKNOWN, "killed")
    assert count(ledger, attempts) >= len(recorded) * JOBS


@pytest.mark.processes
def test_a_sqlite_file_is_whole_after_kill_9(sqlite_url: str, chance: random.Random) -> None:
    for number in range(4):
        write_and_be_killed(sqlite_url, first=number * 1_000, messages=chance.randrange(1, 12))
        with opened(sqlite_url) as ledger, ledger.read() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalars().all() == ["ok"]
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []


@pytest.mark.processes
@pytest.mark.parametrize("bytes_in_it", [0, 1, 4096])
def test_a_ledger_whose_making_was_killed_is_made_by_the_next(
    sqlite_url: str, tmp_path: Path, bytes_in_it: int
) -> None:
    folder = tmp_path / "ledger"
    with another_process(open_it, sqlite_url) as maker:
        maker.hears()
        maker.tell("go")
        while not folder.exists() or _bytes_in(folder) < bytes_in_it:
            pass
        maker.kill()
    with opened(sqlite_url) as ledger:
        assert history.find(ledger) == []


def _bytes_in(folder: Path) -> int:
    size = 0
    for file in folder.glob("ledger.db*"):
        with contextlib.suppress(FileNotFoundError):  # a journal comes and goes
            size += file.stat().st_size
    return size


def test_sqlite_writes_to_the_disk_before_it_says_so(sqlite_url: str) -> None:
    with opened(sqlite_url) as ledger, ledger.write() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2, "FULL"
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_a_connection_that_postgresql_has_ended_is_an_error_and_then_another_one(postgresql: Ledger) -> None:
    with postgresql.read() as connection:
        pid = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
    with opened(full_url(postgresql.url)) as other, other.write() as connection:
        connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    assert history.find(postgresql) == []
