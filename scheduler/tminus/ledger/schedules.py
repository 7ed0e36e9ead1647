"""
The schedules of each job, with the time for which each was in force, and which of their fire times have a
row.

A fire time has a row if it is not after the high-water mark, or if a row after the mark stands for it. The
mark only saves reading older rows, so it may lag. It never runs ahead: a daemon sets it
(`instances.record_heartbeat`) when all rows before it are durable.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tminus.ledger.engine import Ledger
from tminus.ledger.tables import instances, occurrences, schedules


@dataclass(slots=True, kw_only=True)
class Account:
    """
    A schedule that a job has or had, and which of its fire times have a row.

    Attributes:
        schedule: The canonical text; empty if it is not known.
        until_ns: When the schedule ended; None if it is in force.
        decided_until_ns: Each fire time up to here has a row.
        covered: The first and the last instant that each later row stands for.
    """

    job: str
    schedule: str
    until_ns: int | None
    decided_until_ns: int
    covered: list[tuple[int, int]] = field(default_factory=list)


def replace_schedules(ledger: Ledger, wanted: Mapping[str, str], *, now_ns: int) -> dict[str, int]:
    """
    Set the schedules that are in force from now on. No high-water mark may be set meanwhile.

    Args:
        ledger: The open ledger.
        wanted: The canonical text of the schedule of each job. If it has changed, the job is accountable for
            the fire times of the new schedule from now on.
        now_ns: Wall clock.

    Returns:
        For each job, the instant up to which all its fire times have a row.
    """
    with ledger.write(step="schedules") as connection:
        _keep_mark(connection)
        columns = schedules.c.job, schedules.c.schedule, schedules.c.decided_until_ns
        known = {
            row.job: row
            for row in connection.execute(sa.select(*columns).where(schedules.c.until_ns.is_(None)))
        }
        # An unknown text may have been this schedule: all fire times since its mark count as those of the one
        # in force.
        kept = {job for job, row in known.items() if job in wanted and row.schedule in ("", wanted[job])}
        in_force = schedules.update().where(
            schedules.c.job == sa.bindparam("of"), schedules.c.until_ns.is_(None)
        )
        if gone := known.keys() - kept:
            connection.execute(in_force.values(until_ns=now_ns), [{"of": job} for job in gone])
        if unknown := [job for job in kept if not known[job].schedule]:
            texts = [{"of": job, "text": wanted[job]} for job in unknown]
            connection.execute(in_force.values(schedule=sa.bindparam("text")), texts)
        if new := [job for job in wanted if job not in kept]:
            _open(connection, {job: wanted[job] for job in new}, now_ns=now_ns)
    return {job: known[job].decided_until_ns if job in kept else now_ns for job in wanted}


def accounts(ledger: Ledger) -> Sequence[Account]:
    """
    Return each schedule that may have a fire time without a row. Call this only while no daemon runs on this
    ledger.
    """
    is_undecided = sa.or_(schedules.c.until_ns.is_(None), schedules.c.decided_until_ns < schedules.c.until_ns)
    is_its_row = sa.and_(
        # By the bare name, SQLite would walk through all occurrences, and look for the schedule of each.
        occurrences.c.job == schedules.c.job + "",
        occurrences.c.run == 0,
        occurrences.c.fire_time_ns > schedules.c.decided_until_ns,
        sa.or_(schedules.c.until_ns.is_(None), occurrences.c.fire_time_ns <= schedules.c.until_ns),
    )
    covers = occurrences.c.fire_time_ns, occurrences.c.covers_until_ns
    later = (
        sa.select(schedules.c.job, schedules.c.since_ns, *covers)
        .join(occurrences, is_its_row)
        .where(is_undecided)
    )
    found: dict[tuple[str, int], Account] = {}
    with ledger.read() as connection:
        for row in connection.execute(sa.select(schedules).where(is_undecided)):
            found[row.job, row.since_ns] = Account(
                job=row.job,
                schedule=row.schedule,
                until_ns=row.until_ns,
                decided_until_ns=row.decided_until_ns,
            )
        for job, since_ns, first_ns, last_ns in connection.execute(later):
            found[job, since_ns].covered.append((first_ns, last_ns or first_ns))
        # A row with a count may have begun before the mark. Asked for by itself, this is one look into an
        # index of few rows.
        least = min((one.decided_until_ns for one in found.values()), default=0)
        counted = sa.select(occurrences.c.job, *covers).where(
            occurrences.c.covers_until_ns > least, occurrences.c.run == 0
        )
        counted_of: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for job, first_ns, last_ns in connection.execute(counted):
            counted_of[job].append((first_ns, last_ns))
    for account in found.values():
        account.covered += [
            one for one in counted_of.get(account.job, ()) if one[0] <= account.decided_until_ns
        ]
    return list(found.values())


def _keep_mark(connection: Connection) -> None:
    """Copy the mark of the daemon to the schedules that it concerns, before new ones are inserted."""
    mark = connection.execute(sa.select(sa.func.max(instances.c.decided_until_ns))).scalar()
    if mark is not None:
        connection.execute(
            instances.update().where(instances.c.decided_until_ns.is_not(None)).values(decided_until_ns=None)
        )
        connection.execute(
            schedules.update().where(schedules.c.decided_until_ns < mark).values(decided_until_ns=mark)
        )


def _open(connection: Connection, texts: Mapping[str, str], *, now_ns: int) -> None:
    """
    Insert new schedules. If a key is taken, because the clock was set back or a job came back at once, take
    the next one.
    """
    taken = sa.select(schedules.c.job, sa.func.max(schedules.c.since_ns)).group_by(schedules.c.job)
    last = {
        job: since_ns for job, since_ns in connection.execute(taken) if since_ns >= now_ns and job in texts
    }
    rows = [
        {
            "job": job,
            "since_ns": max(now_ns, last.get(job, now_ns - 1) + 1),
            "decided_until_ns": now_ns,
            "schedule": text,
        }
        for job, text in texts.items()
    ]
    connection.execute(schedules.insert(), rows)
