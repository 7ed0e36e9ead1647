"""
Deletion of old history, in small pieces.

What is open, or may still be asked for, stays however old it is: occurrences without an outcome, with an open
chain, or whose notifications are not decided, those that are unknown or missed and not resolved, the last run
and the last success of each job, and each row that proves that its fire time was decided.

A piece is read in one transaction and deleted in another, so a writer waits for the deletion of few rows.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from tminus.ledger.engine import Ledger
from tminus.ledger.notifications import is_old_notification
from tminus.ledger.pauses import is_old_pause
from tminus.ledger.rows import IN_A_BATCH
from tminus.ledger.skips import is_old_skip
from tminus.ledger.tables import (
    chains,
    configs,
    instances,
    notices,
    notifications,
    occurrences,
    pauses,
    releases,
    requests,
    schedules,
    skips,
)
from tminus.outcome import RUNS, UNRESOLVED, Outcome

#: Rows that one transaction deletes, as many as the recorder writes.
_CHUNK = 25
#: Rows that one transaction reads where it deletes none.
_PAGE = 5_000
#: The high-water mark: each fire time up to it is decided.
_MARK_NS = sa.select(sa.func.coalesce(sa.func.max(instances.c.decided_until_ns), 0)).scalar_subquery()


def prune(ledger: Ledger, *, before_ns: int, keep_last: int | None = None) -> Iterator[int]:
    """
    Delete old history piece by piece. The caller rests between two pieces, and may stop at any of them.

    Args:
        ledger: The open ledger.
        before_ns: What was planned earlier is old.
        keep_last: All but this many of the newest occurrences of each job are old, too; None for no limit.

    Yields:
        After each piece, the number of rows that were deleted.

    Raises:
        LedgerError: the ledger does not work.
    """
    by_age = (occurrences.c.planned_at_ns, occurrences.c.id)
    yield from _prune_occurrences(ledger, occurrences.c.planned_at_ns < before_ns, by_age)
    for some in _beyond(ledger, keep_last) if keep_last else ():
        yield 0
        for job, last_ns in some:
            is_beyond = sa.and_(occurrences.c.job == job, occurrences.c.fire_time_ns <= last_ns)
            yield from _prune_occurrences(ledger, is_beyond, (occurrences.c.fire_time_ns, occurrences.c.run))
    yield from _prune_releases(ledger, before_ns)
    is_over = sa.or_(requests.c.taken_by.is_not(None), requests.c.withdrawn_ns.is_not(None))
    has_any = sa.exists().where(occurrences.c.request == requests.c.id)
    yield from _prune_rows(ledger, requests, sa.and_(requests.c.created_ns < before_ns, is_over, ~has_any))
    until_ns = schedules.c.until_ns
    is_decided = sa.or_(until_ns <= schedules.c.decided_until_ns, until_ns <= _MARK_NS)
    yield from _prune_rows(ledger, schedules, sa.and_(until_ns < before_ns, is_decided))
    yield from _prune_rows(ledger, notifications, is_old_notification(before_ns))
    yield from _prune_rows(ledger, skips, is_old_skip(before_ns))
    yield from _prune_rows(ledger, pauses, is_old_pause(before_ns))
    yield from _prune_configs(ledger, before_ns)


def _prune_occurrences(
    ledger: Ledger, is_old: sa.ColumnElement[bool], order: Sequence[sa.ColumnElement[Any]]
) -> Iterator[int]:
    """Delete old occurrences in this order. Those that stay are read once."""
    columns = occurrences.c
    its_own = (columns.id, columns.job, columns.fire_time_ns, columns.covers_until_ns, columns.release)
    position: tuple[Any, ...] | None = None
    while True:
        query = sa.select(_may_go().label("may_go"), *its_own, *order).where(is_old)
        if position is not None:
            query = query.where(sa.tuple_(*order) > sa.tuple_(*position))
        with ledger.read() as connection:
            rows = connection.execute(query.order_by(*order).limit(_CHUNK)).all()
        old = [row for row in rows if row.may_go]
        if old:
            _delete(ledger, old)
        yield len(old)
        if len(rows) < _CHUNK:
            return
        position = tuple(rows[-1]._mapping[column] for column in order)


def _delete(ledger: Ledger, rows: Sequence[Row[Any]]) -> None:
    """Delete occurrences, and their releases if they are empty then; note up to where rows may be missing."""
    last: dict[str, int] = {}
    for row in rows:
        last[row.job] = max(last.get(row.job, 0), row.covers_until_ns or row.fire_time_ns)
    is_empty = ~sa.exists().where(occurrences.c.release == releases.c.number)
    deleted = schedules.c.deleted_until_ns
    note = schedules.update().where(
        schedules.c.job == sa.bindparam("of"),
        schedules.c.since_ns < sa.bindparam("last_ns"),
        sa.or_(deleted.is_(None), deleted < sa.bindparam("last_ns")),
    )
    with ledger.write() as connection:
        connection.execute(
            note.values(deleted_until_ns=sa.bindparam("last_ns")),
            [{"of": job, "last_ns": last_ns} for job, last_ns in sorted(last.items())],
        )
        connection.execute(occurrences.delete().where(occurrences.c.id.in_([row.id for row in rows])))
        numbers = {row.release for row in rows if row.release is not None}
        connection.execute(releases.delete().where(releases.c.number.in_(sorted(numbers)), is_empty))


def _may_go() -> sa.ColumnElement[bool]:
    """Return the condition for old occurrences that nothing needs."""
    columns = occurrences.c
    is_open = sa.or_(
        columns.outcome.is_(None),
        sa.exists().where(chains.c.occurrence == columns.id),
        sa.exists().where(notices.c.occurrence == columns.id),
    )
    is_unresolved = sa.and_(_has_one_of(columns.outcome, UNRESOLVED), columns.resolved.is_(None))
    is_last = sa.and_(
        IN_A_BATCH,
        sa.or_(_is_last_of(RUNS), _is_last_of([Outcome.SUCCEEDED])),
    )
    # The next run of this fire time has to get a number that none has had: a run goes after the earlier ones.
    earlier = occurrences.alias()
    follows = sa.exists().where(
        columns.run > 0,
        earlier.c.job == columns.job,
        earlier.c.fire_time_ns == columns.fire_time_ns,
        earlier.c.run < columns.run,
    )
    return sa.and_(~is_open, ~is_unresolved, ~follows, _is_decided_without_its_row(), ~is_last)


def _is_last_of(outcomes: Sequence[Outcome]) -> sa.ColumnElement[bool]:
    """Return the condition for the newest occurrence of a job with one of these outcomes."""
    newer = occurrences.alias()
    has_newer = sa.exists().where(
        newer.c.job == occurrences.c.job,
        newer.c.fire_time_ns >= occurrences.c.fire_time_ns,
        sa.or_(newer.c.fire_time_ns > occurrences.c.fire_time_ns, newer.c.run > occurrences.c.run),
        _has_one_of(newer.c.outcome, outcomes),
    )
    return sa.and_(_has_one_of(occurrences.c.outcome, outcomes), ~has_newer)


def _has_one_of(column: sa.ColumnElement[Any], outcomes: Sequence[Outcome]) -> sa.ColumnElement[bool]:
    return column.in_([outcome.value for outcome in outcomes])


def _is_decided_without_its_row() -> sa.ColumnElement[bool]:
    """Return the condition for rows whose fire times are known to be decided without them."""
    last = sa.func.coalesce(occurrences.c.covers_until_ns, occurrences.c.fire_time_ns)
    needed = sa.exists().where(
        schedules.c.job == occurrences.c.job,
        occurrences.c.run == 0,
        schedules.c.decided_until_ns < last,
        sa.or_(schedules.c.until_ns.is_(None), occurrences.c.fire_time_ns <= schedules.c.until_ns),
    )
    return sa.or_(last <= _MARK_NS, ~needed)


def _beyond(ledger: Ledger, keep_last: int) -> Iterator[list[tuple[str, int]]]:
    """
    Yield, for a few jobs at a time, those with more than `keep_last` occurrences, each with the fire time of
    its newest old occurrence.
    """
    columns = occurrences.c
    newest = sa.select(columns.fire_time_ns).order_by(columns.fire_time_ns.desc(), columns.run.desc())
    job: str | None = ""
    while job is not None:
        found: list[tuple[str, int]] = []
        with ledger.read() as connection:
            for _ in range(_CHUNK):
                job = connection.scalar(sa.select(sa.func.min(columns.job)).where(columns.job > job))
                if job is None:
                    break
                last_ns = connection.scalar(newest.where(columns.job == job).offset(keep_last).limit(1))
                if last_ns is not None:
                    found.append((job, last_ns))
        yield found


def _prune_releases(ledger: Ledger, before_ns: int) -> Iterator[int]:
    """Delete the old releases that have no occurrence."""
    has_any, after = sa.exists().where(occurrences.c.release == releases.c.number), 0
    columns = releases.c.number, releases.c.planned_at_ns, has_any.label("has_any")
    while True:
        query = sa.select(*columns).where(releases.c.number > after).order_by(releases.c.number)
        with ledger.read() as connection:
            rows = connection.execute(query.limit(_CHUNK)).all()
        if empty := [row.number for row in rows if row.planned_at_ns < before_ns and not row.has_any]:
            with ledger.write() as connection:
                connection.execute(releases.delete().where(releases.c.number.in_(empty)))
        yield len(empty)
        if len(rows) < _CHUNK or rows[-1].planned_at_ns >= before_ns:
            return
        after = rows[-1].number


def _prune_rows(ledger: Ledger, table: sa.Table, is_old: sa.ColumnElement[bool]) -> Iterator[int]:
    """Delete the old rows of a small table."""
    key = sa.tuple_(*table.primary_key.columns)
    while True:
        with ledger.read() as connection:
            query = sa.select(*table.primary_key.columns).where(is_old)
            found = [tuple(row) for row in connection.execute(query.limit(_CHUNK))]
        if found:
            with ledger.write() as connection:
                connection.execute(table.delete().where(key.in_(found)))
        yield len(found)
        if len(found) < _CHUNK:
            return


def _prune_configs(ledger: Ledger, before_ns: int) -> Iterator[int]:
    """
    Delete the texts of old versions that no occurrence refers to, except the newest one: it may still be in
    force.
    """
    newest_first = (configs.c.last_seen_ns.desc(), configs.c.version)
    is_old = configs.c.last_seen_ns < before_ns
    with ledger.read() as connection:
        old = set(
            connection.scalars(sa.select(configs.c.version).where(is_old).order_by(*newest_first).offset(1))
        )
    after = 0
    while old:
        page = sa.select(occurrences.c.id, occurrences.c.config_version).where(occurrences.c.id > after)
        some = page.order_by(occurrences.c.id).limit(_PAGE).subquery()
        query = sa.select(some.c.config_version, sa.func.max(some.c.id).label("last")).group_by(
            some.c.config_version
        )
        with ledger.read() as connection:
            used = {row.config_version: row.last for row in connection.execute(query)}
        if not used:
            break
        old -= used.keys()
        after = max(used.values())
        yield 0
    if gone := sorted(old)[:_CHUNK]:
        with ledger.write() as connection:  # one that has come into force meanwhile was seen again
            connection.execute(configs.delete().where(configs.c.version.in_(gone), is_old))
    yield len(gone)
