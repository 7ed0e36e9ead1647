"""Claims and releases: which process owns an occurrence, and from when on it may have been sent."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tminus.errors import UsageError
from tminus.instants import LATEST_NS
from tminus.ledger import notices
from tminus.ledger.engine import Ledger
from tminus.ledger.rows import (
    KEY,
    OPEN,
    end_unstarted,
    id_filters,
    identities,
    insert_new,
    key_params,
    new_row,
    update_each,
)
from tminus.ledger.tables import occurrences, releases
from tminus.model.batch import BatchClaim, DueOccurrence, UnstartedResult
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import OccurrenceState, Origin

_QUEUED = {"state": OccurrenceState.QUEUED.value, "release": None}


def claim(
    ledger: Ledger, due_occurrences: Sequence[DueOccurrence], *, planned_at_ns: int, instance: str, token: str
) -> BatchClaim:
    """
    Insert the batch's occurrences as `claimed` in one transaction. The process whose insert succeeds owns the
    occurrence.

    An occurrence that is in the ledger already is claimed only if it is queued, if an earlier process has
    claimed it and never released it, or if it waits for its next attempt.

    Args:
        ledger: The open ledger.
        due_occurrences: The due occurrences of the batch.
        planned_at_ns: T, wall clock.
        instance: This process.
        token: Identifies this claim. After a commit that raised, a second call with the same token returns
            what the first call has claimed.

    Returns:
        The claim, with the occurrences that no other process had claimed, released or ended before.
    """
    # Always in the same order, so that two processes that claim the same occurrences cannot deadlock.
    ordered = sorted(due_occurrences, key=lambda due: due.id)
    new, written = [due for due in ordered if not due.is_written], [due for due in ordered if due.is_written]
    with ledger.write(step="claim") as connection:
        if (
            earlier := connection.execute(
                sa.select(releases.c.number).where(releases.c.token == token)
            ).scalar()
        ) is not None:
            claimed = identities(connection.execute(sa.select(*KEY).where(occurrences.c.release == earlier)))
            return _claim(earlier, planned_at_ns, due_occurrences, claimed)
        begin = (
            releases.insert()
            .values(planned_at_ns=planned_at_ns, instance=instance, token=token)
            .returning(releases.c.number)
        )
        number = connection.execute(begin).scalar_one()
        rows = [new_row(due, state=OccurrenceState.CLAIMED.value, release=number) for due in new]
        claimed = insert_new(connection, rows) | _take_over(
            connection, written, number, instance=instance, planned_at_ns=planned_at_ns
        )
    return _claim(number, planned_at_ns, due_occurrences, claimed)


def commit(
    ledger: Ledger,
    release: BatchClaim,
    *,
    withdrawn: Sequence[UnstartedResult],
    held_back: Iterable[OccurrenceId] = (),
    now_ns: int,
) -> frozenset[OccurrenceId]:
    """
    Write `releasing`: from here on an occurrence of this release may have been sent.

    Args:
        ledger: The open ledger.
        release: From `claim`.
        withdrawn: The occurrences that do not start, each with its outcome.
        held_back: Those that wait for room; they are queued again.
        now_ns: Wall clock.

    Returns:
        The occurrences that may start: this release still has them, and they are neither withdrawn nor held
        back.
    """
    is_still_claimed = sa.and_(occurrences.c.release == release.number, OPEN)
    with ledger.write(step="releasing") as connection:
        connection.execute(
            releases.update().where(releases.c.number == release.number).values(releasing_ns=now_ns)
        )
        notices.add(connection, ledger.watch, {one.id: one.outcome for one in withdrawn}, is_still_claimed)
        end_unstarted(connection, withdrawn, now_ns, is_still_claimed)
        queued = {**_QUEUED, "buffered_ns": sa.func.coalesce(occurrences.c.buffered_ns, now_ns)}
        for is_one in id_filters(list(held_back)):
            connection.execute(occurrences.update().where(is_one, is_still_claimed).values(queued))
        if release.has_retries:
            connection.execute(occurrences.update().where(is_still_claimed).values(next_attempt_ns=None))
        return frozenset(identities(connection.execute(sa.select(*KEY).where(is_still_claimed))))


def queue(
    connection: Connection,
    due_occurrences: Sequence[DueOccurrence],
    *,
    request: str | None = None,
    retry_of: OccurrenceId | None = None,
) -> bool:
    """
    Write occurrences that are claimed when their T is near, in the caller's transaction.

    Args:
        connection: The transaction.
        due_occurrences: The occurrences.
        request: The id of the request that asks for them.
        retry_of: The occurrence that is run again.

    Returns:
        False if one of them exists already; then nothing is written.

    Raises:
        UsageError: no ledger can store this T.
    """
    if any(due.planned_at_ns > LATEST_NS for due in due_occurrences):
        raise UsageError(
            "T is too far away", hint="2262 is the last year that fits into 64 bits of nanoseconds"
        )
    for is_one in id_filters([due.id for due in due_occurrences]):
        if connection.execute(sa.select(occurrences.c.id).where(is_one).limit(1)).first():
            return False
    more = {"request": request, "retry_of": None if retry_of is None else str(retry_of)}
    insert_new(
        connection, [new_row(due, state=OccurrenceState.QUEUED.value, **more) for due in due_occurrences]
    )
    return True


def put_off(ledger: Ledger, due_occurrences: Sequence[DueOccurrence]) -> None:
    """
    Write occurrences as queued, with their origin and T, in one transaction: new ones, and those that an
    earlier process has left without releasing them. It may be repeated.
    """
    unreleased = sa.select(releases.c.number).where(releases.c.releasing_ns.is_(None))
    not_sent = sa.or_(occurrences.c.release.is_(None), occurrences.c.release.in_(unreleased))
    new = [
        new_row(due, buffered_ns=due.room_at_ns, **_QUEUED) for due in due_occurrences if not due.is_written
    ]
    changes = [
        {
            **key_params(due.id),
            **_QUEUED,
            "origin": due.origin.value,
            "planned_at_ns": due.planned_at_ns,
            "buffered_ns": due.room_at_ns,
        }
        for due in due_occurrences
        if due.is_written
    ]
    with ledger.write(step="backlog") as connection:
        insert_new(connection, new)
        update_each(connection, sa.and_(OPEN, not_sent), changes)


def put_back(ledger: Ledger, release: BatchClaim, due_occurrences: Sequence[DueOccurrence]) -> None:
    """
    Queue occurrences of a release again, because the wall clock was set back to long before their T. None was
    sent, even if the release is committed. A further attempt stays claimed. It may be repeated.
    """
    ours = sa.and_(occurrences.c.release == release.number, OPEN)
    queued, claimed = OccurrenceState.QUEUED.value, OccurrenceState.CLAIMED.value
    changes = [
        {
            **key_params(due.id),
            "state": queued if due.previous is None else claimed,
            "release": None,
            "next_attempt_ns": due.retry_at_ns,
        }
        for due in due_occurrences
    ]
    with ledger.write() as connection:
        update_each(connection, ours, changes)


def renew(ledger: Ledger, ids: Sequence[OccurrenceId], *, version: str) -> None:
    """Set the version of the configuration for occurrences that an earlier process has left open."""
    if not ids:
        return
    with ledger.write() as connection:
        for is_one in id_filters(ids):
            connection.execute(occurrences.update().where(is_one, OPEN).values(config_version=version))


def _claim(
    number: int, planned_at_ns: int, due_occurrences: Sequence[DueOccurrence], claimed: Iterable[OccurrenceId]
) -> BatchClaim:
    return BatchClaim(
        number=number,
        planned_at_ns=planned_at_ns,
        claimed=frozenset(claimed),
        has_retries=any(due.previous for due in due_occurrences),
    )


def _take_over(
    connection: Connection,
    due_occurrences: Sequence[DueOccurrence],
    number: int,
    *,
    instance: str,
    planned_at_ns: int,
) -> set[OccurrenceId]:
    """
    Claim occurrences that are queued, that an earlier process has claimed and never released, or that wait
    for their next attempt. The T of a catch-up is that of the batch of its first attempt.

    Occurrences that this process has claimed belong to another of its countdowns, and stay there.
    """
    taken: set[OccurrenceId] = set()
    is_put_off = occurrences.c.origin.in_(origin.value for origin in Origin if origin.is_of_past_fire_time)
    is_first = occurrences.c.next_attempt_ns.is_(None)
    their_t_ns = sa.case((sa.and_(is_put_off, is_first), planned_at_ns), else_=occurrences.c.planned_at_ns)
    for is_one in id_filters([due.id for due in due_occurrences]):
        claiming = sa.select(occurrences.c.release).where(is_one)
        is_abandoned = sa.and_(releases.c.releasing_ns.is_(None), releases.c.instance != instance)
        unreleased = sa.select(releases.c.number).where(releases.c.number.in_(claiming), is_abandoned)
        # The lock excludes a commit of such a release in between. After a commit, the release is not
        # selected. A commit after this transaction finds no occurrences.
        found = connection.scalars(unreleased.order_by(releases.c.number).with_for_update()).all()
        not_sent = sa.or_(
            occurrences.c.release.is_(None),
            occurrences.c.release.in_(found),
            occurrences.c.next_attempt_ns.is_not(None),
        )
        take_over = (
            occurrences.update()
            .where(is_one, OPEN, not_sent)
            .values(state=OccurrenceState.CLAIMED.value, release=number, planned_at_ns=their_t_ns)
        )
        taken |= identities(connection.execute(take_over.returning(*KEY)))
    return taken
