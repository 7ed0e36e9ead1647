"""
Outcomes and attempts. An occurrence has exactly one outcome: a second one for the same occurrence changes
nothing.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tminus.ledger import background_queue, chains, failure_counts, notices
from tminus.ledger.engine import Ledger
from tminus.ledger.rows import (
    KEY,
    OPEN,
    attempt_row,
    end_unstarted,
    id_filters,
    identities,
    insert_new,
    key_params,
    new_row,
    result_columns,
    storable,
    update_each,
)
from tminus.ledger.statements import insert_or_skip
from tminus.ledger.tables import attempts, occurrences, releases
from tminus.model.batch import OccurrenceResult, RetryRecord, UnstartedResult
from tminus.model.occurrence import Attempt, OccurrenceId
from tminus.outcome import OccurrenceState, Outcome
from tminus.policies.pause_on_failure import COUNTED


def record(ledger: Ledger, results: Sequence[OccurrenceResult]) -> None:
    """
    Write the outcomes of released occurrences with their attempts, and begin their chains, in one
    transaction.
    """
    first = {one.id: one for one in reversed(results)}  # of several for one occurrence, the first counts
    with ledger.write(step="outcome") as connection:
        numbers = _numbers_of_open(connection, list(first))
        ends = [one for one in first.values() if one.id in numbers]
        rows = [attempt_row(numbers[one.id], attempt) for one in ends for attempt in one.attempts]
        if rows:
            connection.execute(insert_or_skip(connection, attempts), rows)
        chains.start_chains(connection, {numbers[one.id]: one.chain for one in ends if one.chain})
        background_queue.finish_runs(
            connection, {numbers[one.id]: one.result for one in ends if one.is_background}
        )
        for has_attempts in (True, False):  # one update needs the same columns in all rows
            rows = [
                key_params(one.id) | _outcome_columns(one)
                for one in ends
                if bool(one.attempts) is has_attempts
            ]
            update_each(connection, OPEN, rows)
        notices.add(connection, ledger.watch, {one.id: one.outcome for one in ends})
        if ledger.failure_limits and ends:
            in_order = sorted(ends, key=lambda one: one.finished_at_ns)
            last_ns = in_order[-1].finished_at_ns
            failure_counts.count(connection, ledger.failure_limits, in_order, now_ns=last_ns)


def record_retries(ledger: Ledger, retries: Sequence[RetryRecord]) -> None:
    """Write attempts that failed, each with the due time of the next one, in one transaction."""
    first = {one.id: one for one in reversed(retries)}
    with ledger.write(step="retry") as connection:
        numbers = _numbers_of_open(connection, list(first))
        rows = [attempt_row(number, first[identity].attempt) for identity, number in numbers.items()]
        if rows:
            connection.execute(insert_or_skip(connection, attempts), rows)
        update_each(connection, OPEN, [key_params(one) | _retry_columns(first[one]) for one in numbers])


def record_unstarted(ledger: Ledger, decisions: Sequence[UnstartedResult], *, now_ns: int) -> None:
    """
    Write occurrences that end unstarted, in one transaction.

    Args:
        ledger: The open ledger.
        decisions: The occurrences. They do not start, and may have no row yet.
        now_ns: Wall clock.
    """
    with ledger.write(step="unstarted") as connection:
        rows = [new_row(decided, **result_columns(decided, now_ns)) for decided in decisions]
        followed = {one.id: one.chain for one in decisions if one.chain}
        numbers = _numbers_of_open(connection, list(followed))
        new = insert_new(connection, rows)
        there_before = {decided.id for decided in decisions} - new
        ends = {decided.id: decided.outcome for decided in decisions}
        if limits := ledger.failure_limits:
            counted = [one for one in decisions if one.id.job in limits and one.outcome in COUNTED]
            still_open = _numbers_of_open(connection, [one.id for one in counted if one.id not in new])
            end_now = [one for one in counted if one.id in new or one.id in still_open]
            failure_counts.count(connection, limits, end_now, now_ns=now_ns)
        notices.add(connection, ledger.watch, {identity: ends[identity] for identity in new})
        notices.add(connection, ledger.watch, {identity: ends[identity] for identity in there_before}, OPEN)
        end_unstarted(connection, [decided for decided in decisions if decided.id in there_before], now_ns)
        new_followed = set(followed) - there_before
        numbers |= _numbers(connection, list(new_followed))
        chains.start_chains(connection, {number: followed[identity] for identity, number in numbers.items()})


def unknown_after_crash(ledger: Ledger, *, now_ns: int, reason: str) -> int:
    """
    End released occurrences without an outcome as `unknown`, while nothing runs on this ledger; return their
    number.
    """
    released = sa.select(releases.c.number).where(releases.c.releasing_ns.is_not(None))
    is_open = sa.and_(OPEN, occurrences.c.next_attempt_ns.is_(None))
    is_interrupted = sa.and_(is_open, occurrences.c.release.in_(released))
    values = {
        "state": OccurrenceState.FINISHED.value,
        "outcome": Outcome.UNKNOWN.value,
        "reason": reason,
        "finished_at_ns": now_ns,
    }
    with ledger.write(step="unknown") as connection:
        if ledger.watch.outcomes:
            ids = identities(connection.execute(sa.select(*KEY).where(is_interrupted)))
            notices.add(connection, ledger.watch, dict.fromkeys(ids, Outcome.UNKNOWN))
        return connection.execute(occurrences.update().where(is_interrupted).values(values)).rowcount


def _numbers_of_open(connection: Connection, ids: Sequence[OccurrenceId]) -> dict[OccurrenceId, int]:
    """
    Return the row numbers of the occurrences that have no outcome. No other transaction gives them one until
    this one ends.
    """
    return _numbers(connection, ids, OPEN)


def _numbers(
    connection: Connection, ids: Sequence[OccurrenceId], condition: sa.ColumnElement[bool] | None = None
) -> dict[OccurrenceId, int]:
    found: dict[OccurrenceId, int] = {}
    for is_one in id_filters(ids):
        query = sa.select(*KEY, occurrences.c.id).where(is_one)
        if condition is not None:
            query = query.where(condition).with_for_update()
        rows = connection.execute(query)
        found |= {OccurrenceId(job=job, fire_time_ns=at, run=run): number for job, at, run, number in rows}
    return found


def _retry_columns(one: RetryRecord) -> dict[str, Any]:
    waits = {"executor": storable(one.executor), "next_attempt_ns": one.due_ns}
    return waits | _attempt_columns([one.attempt])


def _outcome_columns(one: OccurrenceResult) -> dict[str, Any]:
    """Return the columns of a result. Those of an earlier attempt stay if it has none of its own."""
    ends = {
        "state": OccurrenceState.FINISHED.value,
        "outcome": one.outcome.value,
        "reason": storable(one.reason),
        "finished_at_ns": one.finished_at_ns,
        "executor": storable(one.executor),
        "next_attempt_ns": None,
    }
    return ends | (_attempt_columns(one.attempts) if one.attempts else {})


def _attempt_columns(tried: Sequence[Attempt]) -> dict[str, Any]:
    """Return what an occurrence repeats of its attempts: the first start that is known, the last end."""
    first, last = tried[0], tried[-1]
    return {
        "started_at_ns": next((one.started_at_ns for one in tried if one.started_at_ns is not None), None),
        "armed": first.armed,
        "duration_ns": last.duration_ns,
        "attempts": last.attempt,
        "http_status": last.http_status,
    }
