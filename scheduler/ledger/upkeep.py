"""Store configurations, delete old history, and have deleted data overwritten."""

import sqlalchemy as sa

from scheduler.ledger.databases import impatient, in_our_words
from scheduler.ledger.engine import Ledger, insert_or_update
from scheduler.ledger.tables import chains, configs, instances, occurrences, releases, requests, schedules

#: Rows per transaction, so that no other writer waits long.
_CHUNK = 100


def keep_config(ledger: Ledger, version: str, text: str, *, now_ns: int) -> None:
    """Store the text of a configuration, or that it was seen again."""
    with ledger.write() as connection:
        keep = insert_or_update(connection, configs, key=["version"], changed=["last_seen_ns"])
        connection.execute(keep.values(version=version, text=text, first_seen_ns=now_ns, last_seen_ns=now_ns))


def prune(ledger: Ledger, *, before_ns: int) -> bool:
    """
    Delete some occurrences and requests of before `before_ns` that have ended; return whether there may be more.

    A row that says that a fire time was decided stays until a high-water mark says so. A schedule that has ended stays
    until all its fire times are decided.
    """
    its_chain = sa.exists().where(chains.c.occurrence == occurrences.c.id)
    old = sa.and_(occurrences.c.planned_at_ns < before_ns, occurrences.c.outcome.is_not(None), ~its_chain)
    with ledger.write() as connection:
        mark_ns = connection.scalar(sa.select(sa.func.max(instances.c.decided_until_ns))) or 0
        some = sa.select(occurrences.c.id).where(old, _is_decided_without_its_row(mark_ns))
        numbers = connection.scalars(some.order_by(occurrences.c.planned_at_ns, occurrences.c.id).limit(_CHUNK)).all()
        connection.execute(occurrences.delete().where(occurrences.c.id.in_(numbers)))
        released = connection.execute(releases.delete().where(releases.c.number.in_(_empty_releases(before_ns)))).rowcount
        is_over = sa.or_(requests.c.taken_by.is_not(None), requests.c.withdrawn_ns.is_not(None))
        its_own = sa.exists().where(occurrences.c.request == requests.c.id)
        connection.execute(requests.delete().where(requests.c.created_ns < before_ns, is_over, ~its_own))
        is_decided = sa.or_(schedules.c.until_ns <= schedules.c.decided_until_ns, schedules.c.until_ns <= mark_ns)
        connection.execute(schedules.delete().where(schedules.c.until_ns < before_ns, is_decided))
    is_all = _CHUNK not in (len(numbers), released)
    if is_all:
        _prune_configs(ledger, before_ns=before_ns)
    return not is_all


def _prune_configs(ledger: Ledger, *, before_ns: int) -> None:
    """Delete the texts of old versions that no occurrence refers to, except the newest one: it may still be in force."""
    old = sa.select(configs.c.version).where(configs.c.last_seen_ns < before_ns)
    with ledger.read() as connection:
        versions = set(connection.scalars(old.order_by(configs.c.last_seen_ns.desc(), configs.c.version).offset(1)))
        if versions:
            versions -= set(connection.scalars(sa.select(occurrences.c.config_version).distinct()))
    if versions:
        with ledger.write() as connection:  # one that has come into force meanwhile was seen again
            is_old = sa.and_(configs.c.version.in_(sorted(versions)[:_CHUNK]), configs.c.last_seen_ns < before_ns)
            connection.execute(configs.delete().where(is_old))


def _is_decided_without_its_row(mark_ns: int) -> sa.ColumnElement[bool]:
    """Return the condition for rows that no account needs any more."""
    last = sa.func.coalesce(occurrences.c.covers_until_ns, occurrences.c.fire_time_ns)
    needed = sa.exists().where(
        schedules.c.job == occurrences.c.job,
        occurrences.c.run == 0,
        schedules.c.decided_until_ns < last,
        sa.or_(schedules.c.until_ns.is_(None), occurrences.c.fire_time_ns <= schedules.c.until_ns),
    )
    return sa.or_(last <= mark_ns, ~needed)


def empty_log(ledger: Ledger) -> bool:
    """
    Empty SQLite's write-ahead log, which may still hold deleted data, without waiting. PostgreSQL cleans up by itself.

    Returns:
        False if another connection uses the log; then nothing has changed.

    Raises:
        LedgerError: the ledger does not work.
    """
    if ledger.path is None:
        return True
    with in_our_words(ledger.url), ledger.own_connection() as connection, impatient(connection):
        return not connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]


def _empty_releases(before_ns: int) -> sa.Select[tuple[int]]:
    """Select those of the oldest releases that have no occurrences. To look at all releases would take long."""
    oldest = sa.select(releases.c.number, releases.c.planned_at_ns).order_by(releases.c.number).limit(_CHUNK).subquery()
    its_own = sa.exists().where(occurrences.c.release == oldest.c.number)
    return sa.select(oldest.c.number).where(oldest.c.planned_at_ns < before_ns, ~its_own)
