"""Outcomes and attempts. An occurrence has exactly one outcome: a second one for the same occurrence changes nothing."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from scheduler.ledger import background, chains
from scheduler.ledger.engine import Ledger, insert_or_skip
from scheduler.ledger.rows import (
    KEY,
    OPEN,
    are,
    attempt_row,
    end_unstarted,
    ending,
    insert_new,
    key,
    new_row,
    storable,
    update_each,
)
from scheduler.ledger.tables import attempts, occurrences, releases
from scheduler.model.batch import Decided, Ended
from scheduler.model.occurrence import OccurrenceId
from scheduler.outcome import Outcome, State


def record(ledger: Ledger, ended: Sequence[Ended]) -> None:
    """Write the outcomes of released occurrences with their attempts, and begin their chains, in one transaction."""
    first = {one.id: one for one in reversed(ended)}
    with ledger.write() as connection:
        numbers = _numbers_of_open(connection, list(first))
        ends = [one for one in first.values() if one.id in numbers]
        rows = [attempt_row(numbers[one.id], attempt) for one in ends for attempt in one.attempts]
        if rows:
            connection.execute(insert_or_skip(connection, attempts), rows)
        chains.begin(connection, {numbers[one.id]: one.chain for one in ends if one.chain})
        background.end(connection, {numbers[one.id]: one.result for one in ends if one.is_background})
        update_each(connection, OPEN, [key(one.id) | _ending(one) for one in ends])


def decide(ledger: Ledger, decisions: Sequence[Decided], *, now_ns: int) -> None:
    """
    Write occurrences that end unstarted, in one transaction.

    Args:
        ledger: The open ledger.
        decisions: The occurrences. They were never released, and may have no row yet.
        now_ns: Wall clock.
    """
    with ledger.write() as connection:
        rows = [new_row(decided, **ending(decided, now_ns)) for decided in decisions]
        followed = {one.id: one.chain for one in decisions if one.chain}
        numbers = _numbers_of_open(connection, list(followed))
        there_before = {decided.id for decided in decisions} - insert_new(connection, rows)
        end_unstarted(connection, [decided for decided in decisions if decided.id in there_before], now_ns)
        is_new = set(followed) - there_before
        numbers |= _numbers(connection, list(is_new))
        chains.begin(connection, {number: followed[identity] for identity, number in numbers.items()})


def unknown_after_crash(ledger: Ledger, *, now_ns: int, reason: str) -> int:
    """End released occurrences without an outcome as `unknown`, while nothing runs on this ledger; return their number."""
    released = sa.select(releases.c.number).where(releases.c.releasing_ns.is_not(None))
    lost = sa.and_(OPEN, occurrences.c.release.in_(released))
    values = {
        "state": State.FINISHED.value,
        "outcome": Outcome.UNKNOWN.value,
        "reason": reason,
        "finished_at_ns": now_ns,
    }
    with ledger.write() as connection:
        return connection.execute(occurrences.update().where(lost).values(values)).rowcount


def _numbers_of_open(connection: Connection, ids: Sequence[OccurrenceId]) -> dict[OccurrenceId, int]:
    """Return the row numbers of those without an outcome. No other transaction gives them one until this one ends."""
    return _numbers(connection, ids, OPEN)


def _numbers(
    connection: Connection, ids: Sequence[OccurrenceId], condition: sa.ColumnElement[bool] | None = None
) -> dict[OccurrenceId, int]:
    found: dict[OccurrenceId, int] = {}
    for is_one in are(ids):
        query = sa.select(*KEY, occurrences.c.id).where(is_one)
        if condition is not None:
            query = query.where(condition).with_for_update()
        rows = connection.execute(query)
        found |= {OccurrenceId(job=job, fire_time_ns=at, run=run): number for job, at, run, number in rows}
    return found


def _ending(one: Ended) -> dict[str, Any]:
    first, last = (one.attempts[0], one.attempts[-1]) if one.attempts else (None, None)
    return {
        "state": State.FINISHED.value,
        "outcome": one.outcome.value,
        "reason": storable(one.reason),
        "started_at_ns": first and first.started_at_ns,
        "finished_at_ns": one.finished_at_ns,
        "duration_ns": last and last.duration_ns,
        "armed": first and first.armed,
        "attempts": len(one.attempts),
        "http_status": last and last.http_status,
        "executor": storable(one.executor),
    }
