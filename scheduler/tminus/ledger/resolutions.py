"""Resolutions: what an operator has found out about an occurrence."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tminus.ledger.engine import Ledger
from tminus.ledger.rows import id_filters, storable
from tminus.ledger.tables import occurrences
from tminus.model.occurrence import OccurrenceId, Resolution
from tminus.outcome import Outcome, Resolved


def set_resolution(connection: Connection, identity: OccurrenceId, resolution: Resolution) -> None:
    """Store the resolution of an occurrence, in the caller's transaction."""
    (is_it,) = id_filters([identity])
    values: dict[str, Any] = {
        "resolved": resolution.resolved.value,
        "resolved_by": storable(resolution.by),
        "resolved_ns": resolution.at_ns,
    }
    connection.execute(occurrences.update().where(is_it).values(values))


def count_unresolved(ledger: Ledger, outcomes: Collection[Outcome], *, since_ns: int) -> dict[Outcome, int]:
    """
    Return the number of occurrences with one of these outcomes, planned then or later, that no operator has
    resolved, and whose fire time no later run has made up for. A row with a count counts as that many.
    """
    later = occurrences.alias()
    is_made_up_for = sa.exists().where(
        occurrences.c.count == 1,
        later.c.job == occurrences.c.job,
        later.c.fire_time_ns == occurrences.c.fire_time_ns,
        later.c.run > occurrences.c.run,
        later.c.outcome == Outcome.SUCCEEDED.value,
    )
    is_open = sa.and_(
        occurrences.c.planned_at_ns >= since_ns,
        occurrences.c.outcome.in_([outcome.value for outcome in outcomes]),
        occurrences.c.resolved.is_(None),
        ~is_made_up_for,
    )
    query = sa.select(occurrences.c.outcome, sa.func.sum(occurrences.c.count)).where(is_open)
    with ledger.read() as connection:
        return {
            Outcome(outcome): int(count)
            for outcome, count in connection.execute(query.group_by(occurrences.c.outcome))
        }


def to_resolution(row: RowMapping) -> Resolution | None:
    """
    Return the resolution of an occurrence; None if it has none.

    Raises:
        ValueError: the row is not valid.
    """
    if row["resolved"] is None:
        return None
    return Resolution(resolved=Resolved(row["resolved"]), by=row["resolved_by"], at_ns=row["resolved_ns"])
