"""Commands, claims and the retention find occurrences by an index, however long the history is."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.ledgers import T, an_instance, claim, commit, dues_of, prune_all
from tests.support.new_ledgers import ledger_in_a_file
from tests.support.values import an_ending
from tminus.instants import SECOND
from tminus.ledger import fire_time_runs, history, outcomes, schedules, upkeep
from tminus.ledger.engine import Ledger
from tminus.ledger.requests import RequestKind, add_request
from tminus.operations.audit import audit
from tminus.operations.status import status
from tminus.outcome import Outcome

#: Indexes of few occurrences.
_SHORT_WALKS = ("occurrences_without_outcome", "occurrences_with_count", "occurrences_not_succeeded")
_NEWEST_FIRST = "SCAN occurrences USING INDEX occurrences_by_batch"


@pytest.fixture
def ledger(tmp_path: Any) -> Iterator[Ledger]:
    """Return one in a file: SQLite says how it would execute a statement, whatever the table contains."""
    with ledger_in_a_file(tmp_path) as one:
        yield one


def run_one(ledger: Ledger) -> None:
    due_occurrences = dues_of("pay", "pack")
    commit(ledger, claim(ledger, due_occurrences))
    outcomes.record(ledger, [an_ending(due) for due in due_occurrences])


def take_over(ledger: Ledger) -> None:
    (due,) = dues_of("ship")
    claim(ledger, [due])
    claim(ledger, dues_of("ship", is_written=True))


def prune(ledger: Ledger) -> None:
    schedules.replace_schedules(ledger, {"pay": "[]"}, now_ns=T)
    for second in range(2):
        upkeep.keep_config(ledger, f"old_{second}", "{}", now_ns=T + second)
    add_request(ledger, RequestKind.RUN_NOW, {}, now_ns=T)
    run_one(ledger)
    prune_all(ledger, before_ns=T + SECOND, keep_last=10)


def last_runs(ledger: Ledger) -> None:
    with ledger.read() as connection:
        fire_time_runs.last_runs(connection, "pay", from_ns=T, to_ns=T + SECOND)


def audit_all(ledger: Ledger) -> None:
    schedules.replace_schedules(ledger, {"pay": '[{"every_ns": 1000000000}]'}, now_ns=T)
    audit(ledger, since_ns=T, until_ns=T + SECOND, now_ns=T + SECOND)


def failed_history_of_two_jobs(ledger: Ledger) -> None:
    history.find(ledger, jobs=["pay", "pack"], outcome=Outcome.FAILED, since_ns=T, limit=50)


USES: dict[str, Callable[[Ledger], object]] = {
    "a batch from its claim to its outcomes": run_one,
    "the claim of what an earlier process has left": take_over,
    "crash": lambda ledger: outcomes.unknown_after_crash(ledger, now_ns=T, reason="killed"),
    "accounts after a start": schedules.accounts,
    "history": lambda ledger: history.find(ledger, limit=50),
    "history of a job": lambda ledger: history.find(ledger, jobs=["pay"], limit=50),
    "history of some jobs": failed_history_of_two_jobs,
    "history of an outcome": lambda ledger: history.find(ledger, outcome=Outcome.FAILED, limit=50),
    "history of an instant": lambda ledger: history.find_at(ledger, "pay", T),
    "status": lambda ledger: status(ledger, lambda: None, now_ns=T),
    "last runs": lambda ledger: history.last_of_each(ledger, ["pay"], outcomes=[Outcome.FAILED]),
    "skew": history.last_batch,
    "audit": audit_all,
    "backfill": last_runs,
    "retention": prune,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_nothing_walks_through_all_occurrences(ledger: Ledger, use: Callable[[Ledger], object]) -> None:
    an_instance(ledger)
    with statements_of(ledger) as statements:
        use(ledger)
    walks = [
        (step, text)
        for text, values in statements
        for step in plan(ledger, text, values)
        if is_long(step, text)
    ]
    assert statements
    assert walks == []


@contextlib.contextmanager
def statements_of(ledger: Ledger) -> Iterator[list[tuple[str, Any]]]:
    """Note the statements on occurrences that are executed in this block."""
    found: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, text: str, values: Any, *_: object) -> None:
        if "occurrences" in text:
            is_many = bool(values) and isinstance(values[0], tuple)
            found.append((text, values[0] if is_many else values))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def plan(ledger: Ledger, text: str, values: Any) -> list[str]:
    """Return the steps by which SQLite executes a statement."""
    with ledger.own_connection() as connection:
        raw: Any = connection.connection.driver_connection
        return [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {text}", values)]


def is_long(step: str, text: str) -> bool:
    """Return whether a step walks through all occurrences, and not only through the newest ones."""
    if not step.startswith("SCAN occurrences") or step.endswith(_SHORT_WALKS):
        return False
    return not (step == _NEWEST_FIRST and "LIMIT" in text)
