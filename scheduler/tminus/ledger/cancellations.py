"""Cancellation of occurrences that nothing runs: queued, claimed, or between two attempts."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tminus.ledger import notices
from tminus.ledger.rows import OPEN, id_filters, storable
from tminus.ledger.tables import occurrences, releases, runs
from tminus.model.notification import OutcomeWatch
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import OccurrenceState, Outcome

#: How often the release of an occurrence is looked up again, because it was claimed meanwhile.
_MOST_TRIES = 5


def cancel_waiting(
    connection: Connection, identity: OccurrenceId, *, reason: str, now_ns: int, watch: OutcomeWatch
) -> bool:
    """
    End an occurrence as `cancelled`, in the caller's transaction. No later commit starts it.

    Args:
        connection: The transaction.
        identity: The occurrence.
        reason: Who cancels it.
        now_ns: Wall clock.
        watch: Which outcomes are watched.

    Returns:
        False if an attempt of it may have been sent and has not ended, or if it is over.
    """
    (is_it,) = id_filters([identity])
    values = {
        "state": OccurrenceState.FINISHED.value,
        "outcome": Outcome.CANCELLED.value,
        "reason": storable(reason),
        "finished_at_ns": now_ns,
        "next_attempt_ns": None,
    }
    for _ in range(_MOST_TRIES):
        number = connection.scalar(sa.select(occurrences.c.release).where(is_it, OPEN))
        # The lock excludes a commit of this release in between, as for `claims.claim`.
        release = sa.select(releases.c.releasing_ns).where(releases.c.number == number).with_for_update()
        releasing_ns = None if number is None else connection.scalar(release)
        is_unsent = sa.true() if releasing_ns is None else occurrences.c.next_attempt_ns.is_not(None)
        is_same = occurrences.c.release.is_(None) if number is None else occurrences.c.release == number
        ends = sa.and_(is_it, OPEN, is_same, is_unsent)
        notices.add(connection, watch, {identity: Outcome.CANCELLED}, ends)
        ended = connection.scalar(occurrences.update().where(ends).values(values).returning(occurrences.c.id))
        if ended is not None:
            connection.execute(runs.update().where(runs.c.occurrence == ended).values(given=None))
            return True
        if connection.scalar(sa.select(occurrences.c.release).where(is_it, OPEN)) == number:
            return False
    return False


def row_number(connection: Connection, identity: OccurrenceId) -> int | None:
    """Return the row number of an occurrence; None if it does not exist."""
    (is_it,) = id_filters([identity])
    return connection.scalar(sa.select(occurrences.c.id).where(is_it))
