"""Configurations kept, old history let go, and what was deleted with it."""

import sqlalchemy as sa

from scheduler.ledger.databases import impatient, in_our_words
from scheduler.ledger.engine import Ledger, insert_or_skip
from scheduler.ledger.schedules import mark
from scheduler.ledger.tables import chains, configs, occurrences, releases, requests
from scheduler.outcome import Origin

#: Rows a transaction, so that nobody waits long for the writer.
_CHUNK = 500


def keep_config(ledger: Ledger, version: str, text: str, *, now_ns: int) -> None:
    """Keep the text of a configuration: a claim runs by the one that it was made under."""
    with ledger.write() as connection:
        connection.execute(insert_or_skip(connection, configs).values(version=version, text=text, first_seen_ns=now_ns))


def prune(ledger: Ledger, *, before_ns: int) -> bool:
    """
    Delete some of what was planned, or asked for, before that and has ended, with its chain; True where there may be more.

    What a job owes is counted from its last row, so before that goes a mark takes its place.
    """
    its_chain = sa.exists().where(chains.c.occurrence == occurrences.c.id)
    old = sa.and_(occurrences.c.planned_at_ns < before_ns, occurrences.c.outcome.is_not(None), ~its_chain)
    some = sa.select(occurrences.c.id).where(old).order_by(occurrences.c.planned_at_ns, occurrences.c.id).limit(_CHUNK)
    with ledger.write() as connection:
        numbers = connection.scalars(some).all()
        going = occurrences.c.id.in_(numbers)
        last = sa.select(occurrences.c.job, sa.func.max(occurrences.c.fire_time_ns))
        by_schedule = last.where(going, occurrences.c.origin == Origin.SCHEDULE.value).group_by(occurrences.c.job)
        mark(connection, [(job, fire_time_ns) for job, fire_time_ns in connection.execute(by_schedule)])
        connection.execute(occurrences.delete().where(going))
        released = connection.execute(releases.delete().where(releases.c.number.in_(_empty_releases(before_ns)))).rowcount
        is_over = sa.or_(requests.c.taken_by.is_not(None), requests.c.withdrawn_ns.is_not(None))
        its_own = sa.exists().where(occurrences.c.request == requests.c.id)
        connection.execute(requests.delete().where(requests.c.created_ns < before_ns, is_over, ~its_own))
    return _CHUNK in (len(numbers), released)


def empty_log(ledger: Ledger) -> bool:
    """
    Have what was deleted go from SQLite's write-ahead log, too; waits for nobody. PostgreSQL cleans up by itself.

    Returns:
        False where somebody else was at it: nothing has changed.

    Raises:
        LedgerError: the ledger does not work.
    """
    if ledger.path is None:
        return True
    with in_our_words(ledger.url), ledger.own_connection() as connection, impatient(connection):
        return not connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]


def _empty_releases(before_ns: int) -> sa.Select[tuple[int]]:
    """Of the oldest ones, those without occurrences: to look at all would take long."""
    oldest = sa.select(releases.c.number, releases.c.planned_at_ns).order_by(releases.c.number).limit(_CHUNK).subquery()
    its_own = sa.exists().where(occurrences.c.release == oldest.c.number)
    return sa.select(oldest.c.number).where(oldest.c.planned_at_ns < before_ns, ~its_own)
