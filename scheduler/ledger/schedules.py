"""What each job owes: its schedule, since when a daemon knows it, and up to where each instant is decided."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from scheduler.ledger.engine import Ledger
from scheduler.ledger.tables import occurrences, schedules
from scheduler.outcome import Origin


def adopt(ledger: Ledger, wanted: Mapping[str, str], *, now_ns: int) -> dict[str, int]:
    """
    Take note of the jobs that are scheduled from now on.

    Args:
        ledger: The open ledger.
        wanted: The schedule of each as text; a job whose text has changed owes the instants of the new one from now on.
        now_ns: Wall clock.

    Returns:
        For each job, the fire time up to which all is decided: what it owes comes after that.
    """
    with ledger.write() as connection:
        open_ones = {row.job: row for row in connection.execute(_open())}
        gone = [job for job, row in open_ones.items() if wanted.get(job) != row.schedule]
        if gone:
            ends = schedules.update().where(schedules.c.job == sa.bindparam("of"), schedules.c.until_ns.is_(None))
            connection.execute(ends.values(until_ns=now_ns), [{"of": job} for job in gone])
        kept = open_ones.keys() - gone
        new = [job for job in wanted if job not in kept]
        if new:
            rows = [{"job": job, "since_ns": now_ns, "decided_until_ns": now_ns, "schedule": wanted[job]} for job in new]
            connection.execute(schedules.insert(), rows)
    decided = {job: max(row.decided_until_ns, row.last_ns or 0) for job, row in open_ones.items() if job in kept}
    return {job: decided.get(job, now_ns) for job in wanted}


def mark(connection: Connection, marks: Sequence[tuple[str, int]]) -> None:
    """Up to these fire times of these jobs all is decided, in the caller's transaction; a mark never moves back."""
    if marks:
        statement = (
            schedules.update()
            .where(schedules.c.job == sa.bindparam("of"), schedules.c.until_ns.is_(None))
            .where(schedules.c.decided_until_ns < sa.bindparam("until"))
            .values(decided_until_ns=sa.bindparam("until"))
        )
        connection.execute(statement, [{"of": job, "until": until} for job, until in marks])


def _open() -> sa.Select[tuple[str, str, int, int | None]]:
    """The schedules that are in force, each with the last fire time that has a row: one look into an index a job."""
    last = (
        sa.select(occurrences.c.fire_time_ns)
        .where(occurrences.c.job == schedules.c.job, occurrences.c.origin == Origin.SCHEDULE.value)
        .order_by(occurrences.c.fire_time_ns.desc())
        .limit(1)
        .scalar_subquery()
    )
    columns = schedules.c.job, schedules.c.schedule, schedules.c.decided_until_ns, last.label("last_ns")
    return sa.select(*columns).where(schedules.c.until_ns.is_(None))
