"""Claims and releases: who owns an occurrence, and from when on it may have been sent."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from scheduler.errors import UsageError
from scheduler.instants import LATEST_NS
from scheduler.ledger.engine import Ledger
from scheduler.ledger.rows import KEY, OPEN, are, end_unstarted, identities, insert_new, new_row
from scheduler.ledger.tables import occurrences, releases
from scheduler.model.batch import Decided, Due, Release
from scheduler.model.occurrence import OccurrenceId
from scheduler.outcome import State


def claim(ledger: Ledger, dues: Sequence[Due], *, planned_at_ns: int, instance: str, token: str) -> Release:
    """
    Insert the batch's occurrences as `claimed` in one transaction. The process whose insert succeeds owns the occurrence.

    What the ledger has already is claimed only if it is queued, or if an earlier process has claimed and never released it.

    Args:
        ledger: The open ledger.
        dues: The due occurrences of the batch.
        planned_at_ns: T, wall clock.
        instance: This process.
        token: Identifies this claim. After a commit that raised, a second call with the same token returns what the first call
            has claimed.

    Returns:
        The release, with the occurrences that nobody else had claimed, released or ended before.
    """
    # Always in the same order, so that two processes that claim the same occurrences cannot deadlock.
    ordered = sorted(dues, key=lambda due: due.id)
    new, written = [due for due in ordered if not due.is_written], [due for due in ordered if due.is_written]
    with ledger.write() as connection:
        if (earlier := connection.execute(sa.select(releases.c.number).where(releases.c.token == token)).scalar()) is not None:
            claimed = identities(connection.execute(sa.select(*KEY).where(occurrences.c.release == earlier)))
            return Release(number=earlier, planned_at_ns=planned_at_ns, claimed=frozenset(claimed))
        begin = releases.insert().values(planned_at_ns=planned_at_ns, instance=instance, token=token).returning(releases.c.number)
        number = connection.execute(begin).scalar_one()
        rows = [new_row(due, state=State.CLAIMED.value, release=number) for due in new]
        claimed = insert_new(connection, rows) | _take_over(connection, written, number, instance=instance)
    return Release(number=number, planned_at_ns=planned_at_ns, claimed=frozenset(claimed))


def commit(ledger: Ledger, release: Release, *, withdrawn: Iterable[Decided], now_ns: int) -> frozenset[OccurrenceId]:
    """
    Write `releasing`: from here on an occurrence of this release may have been sent.

    Args:
        ledger: The open ledger.
        release: From `claim`.
        withdrawn: The occurrences that do not start, each with its outcome.
        now_ns: Wall clock.

    Returns:
        The occurrences that may start: still ours, and not withdrawn.
    """
    mine = sa.and_(occurrences.c.release == release.number, OPEN)
    with ledger.write() as connection:
        connection.execute(releases.update().where(releases.c.number == release.number).values(releasing_ns=now_ns))
        end_unstarted(connection, withdrawn, now_ns, mine)
        return frozenset(identities(connection.execute(sa.select(*KEY).where(mine))))


def queue(connection: Connection, dues: Sequence[Due], *, request: str | None = None) -> bool:
    """
    Write occurrences that are claimed when their T is near, in the caller's transaction.

    Returns:
        False if one of them exists already; then nothing is written.

    Raises:
        UsageError: no ledger can store this T.
    """
    if any(due.planned_at_ns > LATEST_NS for due in dues):
        raise UsageError("T is too far away", hint="2262 is the last year that fits into 64 bits of nanoseconds")
    for is_one in are([due.id for due in dues]):
        if connection.execute(sa.select(occurrences.c.id).where(is_one).limit(1)).first():
            return False
    insert_new(connection, [new_row(due, state=State.QUEUED.value, request=request) for due in dues])
    return True


def renew(ledger: Ledger, ids: Sequence[OccurrenceId], *, version: str) -> None:
    """Set the configuration version by which occurrences run that an earlier process has left open."""
    if not ids:
        return
    with ledger.write() as connection:
        for is_one in are(ids):
            connection.execute(occurrences.update().where(is_one, OPEN).values(config_version=version))


def _take_over(connection: Connection, dues: Sequence[Due], number: int, *, instance: str) -> set[OccurrenceId]:
    """
    Claim what is queued, or what an earlier process has claimed and never released.

    What this process itself has claimed belongs to another of its countdowns, and stays there.
    """
    taken: set[OccurrenceId] = set()
    for is_one in are([due.id for due in dues]):
        theirs = sa.select(occurrences.c.release).where(is_one)
        is_abandoned = sa.and_(releases.c.releasing_ns.is_(None), releases.c.instance != instance)
        unreleased = sa.select(releases.c.number).where(releases.c.number.in_(theirs), is_abandoned)
        # Locked: a commit of such a release comes before, and then it is not among them, or after, and finds nothing left.
        found = connection.scalars(unreleased.order_by(releases.c.number).with_for_update()).all()
        not_sent = sa.or_(occurrences.c.release.is_(None), occurrences.c.release.in_(found))
        claim_it = occurrences.update().where(is_one, OPEN, not_sent).values(state=State.CLAIMED.value, release=number)
        taken |= identities(connection.execute(claim_it.returning(*KEY)))
    return taken
