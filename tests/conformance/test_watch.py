"""Watching a batch: which one is next, how far it is, and what that costs."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.fake_clock import FakeClock
from tests.support.ledgers import T, claim, commit, dues_of
from tests.support.scheduling import definitions_of
from tests.support.values import a_job, an_ending
from tminus.cli.batch_follower import follow_batch
from tminus.cli.output import CommandOutput
from tminus.clock import Clock
from tminus.errors import DaemonNeeded, NotFound
from tminus.instants import MS, SECOND
from tminus.ledger import claims, history, outcomes
from tminus.ledger.engine import Ledger
from tminus.model.batch import BatchCounts
from tminus.model.job import Every
from tminus.operations.watch import BatchWatch, PlannedBatch, find_batch
from tminus.outcome import Outcome
from tminus.policies.jitter import jittered

MINUTE = 60 * SECOND
NOW = T - 10 * SECOND
FILE = definitions_of(
    a_job("pay", schedule=(Every(MINUTE),)),
    a_job("pack", schedule=(Every(MINUTE),)),
    a_job("later", schedule=(Every(10 * MINUTE),)),
    a_job("off", schedule=(Every(MINUTE),), suspended=True),
)


def queue(ledger: Ledger, *names: str, at_ns: int) -> None:
    with ledger.write() as connection:
        claims.queue(connection, dues_of(*names, fire_time_ns=at_ns))


def test_the_next_batch_is_that_of_the_file(ledger: Ledger) -> None:
    assert find_batch(ledger, FILE, planned_at_ns=None, now_ns=NOW) == PlannedBatch(T, 3)
    assert find_batch(ledger, FILE, planned_at_ns=None, now_ns=T) == PlannedBatch(T + MINUTE, 2)


def test_the_next_batch_may_be_one_that_a_person_asked_for(ledger: Ledger) -> None:
    queue(ledger, "pay", at_ns=NOW + SECOND)
    assert find_batch(ledger, FILE, planned_at_ns=None, now_ns=NOW) == PlannedBatch(NOW + SECOND, 1)
    assert find_batch(ledger, None, planned_at_ns=None, now_ns=NOW) == PlannedBatch(NOW + SECOND, 1)


def test_a_batch_that_has_been_is_found_by_its_rows(ledger: Ledger) -> None:
    claim(ledger, dues_of("pay"))
    assert find_batch(ledger, FILE, planned_at_ns=T, now_ns=T + SECOND) == PlannedBatch(T, 1)


@pytest.mark.parametrize("planned_at_ns", [T + SECOND, T - MINUTE])
def test_at_a_time_without_a_job_there_is_no_batch(ledger: Ledger, planned_at_ns: int) -> None:
    with pytest.raises(NotFound, match="nothing is due at 2025-11-20T11:"):
        find_batch(ledger, FILE, planned_at_ns=planned_at_ns, now_ns=NOW)


def test_without_a_fire_time_no_batch_is_planned(ledger: Ledger) -> None:
    with pytest.raises(NotFound, match="no batch is planned"):
        find_batch(ledger, definitions_of(a_job("pay")), planned_at_ns=None, now_ns=NOW)


def test_the_t_of_a_job_with_jitter_is_its_planned_start(ledger: Ledger) -> None:
    file = definitions_of(a_job("pay", schedule=(Every(MINUTE),), jitter_ns=50 * SECOND))
    planned_at_ns = jittered("pay", 50 * SECOND)
    for fire_time_ns in (T, T + MINUTE):
        start_ns = planned_at_ns(fire_time_ns)
        assert find_batch(ledger, file, planned_at_ns=None, now_ns=start_ns - 1) == PlannedBatch(start_ns, 1)


def test_the_counts_follow_the_rows(ledger: Ledger) -> None:
    seen = [history.count_batch(ledger, T)]
    queue(ledger, "pay", at_ns=T)
    seen.append(history.count_batch(ledger, T))
    pay, pack = dues_of("pay", "pack")
    commit(ledger, claim(ledger, [pay, pack]))
    seen.append(history.count_batch(ledger, T))
    outcomes.record(ledger, [an_ending(pack, Outcome.FAILED, reason="x")])
    seen.append(history.count_batch(ledger, T))
    assert seen == [
        BatchCounts(),
        BatchCounts(written=1),
        BatchCounts(written=2, claimed=1),
        BatchCounts(written=2, claimed=1, ended=1),
    ]


def test_a_batch_has_ended_when_all_rows_that_are_due_have_ended() -> None:
    batch = PlannedBatch(T, 2)
    half, all_rows = BatchCounts(written=1, claimed=1, ended=1), BatchCounts(written=2, claimed=2, ended=2)
    assert not batch.has_ended(all_rows, T - 1)
    assert batch.has_ended(all_rows, T)
    assert not batch.has_ended(half, T + SECOND), "the other row may still come"
    assert batch.has_ended(half, T + 3 * SECOND)
    assert not batch.has_ended(BatchCounts(written=2, claimed=2, ended=1), T + MINUTE)
    assert not batch.has_ended(BatchCounts(), T + 3 * SECOND)
    assert batch.has_ended(BatchCounts(), T + MINUTE)


def test_the_ledger_is_read_only_after_a_change_and_not_around_t(ledger: Ledger) -> None:
    reads: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "occurrences" in statement:
            reads.append(statement)

    with closing(BatchWatch(ledger, PlannedBatch(T, 1))) as watch, ledger.read() as connection:
        sa.event.listen(connection.engine, "before_cursor_execute", note)
        for step in range(20):
            watch.counts(NOW + step * 20 * MS)
        assert len(reads) == 1
        claim(ledger, dues_of("pay"))
        reads.clear()
        for at_ns in (T - 50 * MS, T, T + 150 * MS):
            assert watch.counts(at_ns) == BatchCounts()
        assert reads == []
        assert watch.counts(T + 300 * MS) == BatchCounts(written=1, claimed=1)
        sa.event.remove(connection.engine, "before_cursor_execute", note)


class Script(FakeClock):
    """A clock at which something happens when its time has come."""

    def __init__(self, *steps: tuple[int, Callable[[], object]]) -> None:
        super().__init__(NOW)
        self._steps = list(steps)

    def pause(self, duration_ns: int) -> None:
        super().pause(duration_ns)
        while self._steps and self._steps[0][0] <= self.wall_ns():
            self._steps.pop(0)[1]()


def follow(ledger: Ledger, clock: Clock, *, check: Callable[[], object]) -> None:
    """Follow a batch of two jobs."""
    batch = PlannedBatch(T, 2)
    output = CommandOutput(as_json=True, color=True, quiet=False, verbose=False)
    with closing(BatchWatch(ledger, batch)) as watch:
        follow_batch(batch, counts=watch.counts, clock=clock, output=output, check=check)


def test_without_a_terminal_each_phase_is_one_line(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    pay, pack = dues_of("pay", "pack")
    clock = Script(
        (T - SECOND, lambda: commit(ledger, claim(ledger, [pay, pack]))),
        (T + SECOND, lambda: outcomes.record(ledger, [an_ending(pay)])),
        (T + 2 * SECOND, lambda: outcomes.record(ledger, [an_ending(pack)])),
    )
    follow(ledger, clock, check=lambda: None)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "2 due",
        "2 of 2 stored in the ledger (claimed)",
        "released, 0 of 2 done",
        "2 of 2 done",
    ]


def test_a_watch_ends_when_nobody_runs_the_batch_any_more(ledger: Ledger) -> None:
    def check() -> None:
        raise DaemonNeeded("no daemon on this ledger")

    with pytest.raises(DaemonNeeded):
        follow(ledger, Script(), check=check)
