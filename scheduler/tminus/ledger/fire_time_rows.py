"""Reads for the audit: the schedules that were in force, and the rows of fire times."""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from tminus.ledger.engine import Ledger
from tminus.ledger.tables import occurrences, schedules
from tminus.outcome import Origin, Outcome

#: Rows that are read at once.
_PAGE = 10_000
_BY_SCHEDULE = (Origin.SCHEDULE.value, Origin.CATCH_UP.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleInForce:
    """
    A schedule of a job, and when it was in force.

    Attributes:
        schedule: Its canonical text; empty if it is not known.
        since_ns: The job is accountable for the fire times after this.
        until_ns: When it ended; None if it is in force.
        deleted_until_ns: The rows of fire times up to here may have been deleted; None if none was.
    """

    job: str
    schedule: str
    since_ns: int
    until_ns: int | None
    deleted_until_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FireTimeRow:
    """
    The row of one fire time, or of several consecutive ones.

    Attributes:
        until_ns: The last fire time that the row stands for, or an instant before the one that follows.
        is_resolved: Whether an operator has said what became of it.
    """

    fire_time_ns: int
    until_ns: int
    count: int
    outcome: Outcome | None
    reason: str | None
    is_resolved: bool


def schedules_between(
    ledger: Ledger, *, since_ns: int, until_ns: int, job: str | None = None
) -> list[ScheduleInForce]:
    """
    Return the schedules that were in force at some time of this stretch, of one job or of all, by job and
    time.
    """
    overlaps = sa.and_(
        schedules.c.since_ns < until_ns,
        sa.or_(schedules.c.until_ns.is_(None), schedules.c.until_ns > since_ns),
    )
    wanted = overlaps if job is None else sa.and_(overlaps, schedules.c.job == job)
    query = sa.select(schedules).where(wanted).order_by(schedules.c.job, schedules.c.since_ns)
    with ledger.read() as connection:
        return [
            ScheduleInForce(
                job=row.job,
                schedule=row.schedule,
                since_ns=row.since_ns,
                until_ns=row.until_ns,
                deleted_until_ns=row.deleted_until_ns,
            )
            for row in connection.execute(query)
        ]


def rows_of(ledger: Ledger, job: str, *, since_ns: int, until_ns: int) -> Iterator[FireTimeRow]:
    """
    Yield the rows of a job's fire times from `since_ns` to `until_ns`, ascending. The first one may begin
    before.
    """
    columns = (
        occurrences.c.fire_time_ns,
        occurrences.c.covers_until_ns,
        occurrences.c.count,
        occurrences.c.outcome,
        occurrences.c.reason,
        occurrences.c.resolved,
    )
    of_job = sa.and_(occurrences.c.job == job, occurrences.c.run == 0, occurrences.c.origin.in_(_BY_SCHEDULE))
    before = (
        sa.select(*columns)
        .where(of_job, occurrences.c.fire_time_ns < since_ns)
        .order_by(occurrences.c.fire_time_ns.desc())
        .limit(1)
    )
    with ledger.read() as connection:
        earlier = connection.execute(before).mappings().first()
    if earlier and (earlier["covers_until_ns"] or earlier["fire_time_ns"]) >= since_ns:
        yield _row(earlier)
    after_ns = since_ns - 1
    while True:
        page = (
            sa.select(*columns)
            .where(of_job, occurrences.c.fire_time_ns > after_ns, occurrences.c.fire_time_ns <= until_ns)
            .order_by(occurrences.c.fire_time_ns)
            .limit(_PAGE)
        )
        with ledger.read() as connection:
            rows = connection.execute(page).mappings().all()
        yield from map(_row, rows)
        if len(rows) < _PAGE:
            return
        after_ns = rows[-1]["fire_time_ns"]


def _row(row: RowMapping) -> FireTimeRow:
    return FireTimeRow(
        fire_time_ns=row["fire_time_ns"],
        until_ns=row["covers_until_ns"] or row["fire_time_ns"],
        count=row["count"],
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        reason=row["reason"],
        is_resolved=row["resolved"] is not None,
    )
