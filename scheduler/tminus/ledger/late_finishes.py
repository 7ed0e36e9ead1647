"""
Late finishes: occurrences that had not finished by their `finish_by`, until the notifications about them are
decided.

Each occurrence has at most one row. The row stays after the decision, so no notification is sent twice, even
after a crash.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tminus.ledger.engine import Ledger
from tminus.ledger.rows import CHUNK, KEY, OPEN, id_filters
from tminus.ledger.statements import insert_or_skip
from tminus.ledger.tables import late_finishes, occurrences
from tminus.model.occurrence import OccurrenceId

#: Rows that are read at once.
_MOST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LateFinish:
    """An occurrence that had not finished by its `finish_by`, with its row number."""

    number: int
    id: OccurrenceId
    planned_at_ns: int
    finish_by_ns: int


def note(ledger: Ledger, found: Mapping[OccurrenceId, int]) -> None:
    """
    Note that occurrences have not finished by their `finish_by`, each once. One that has an outcome is left
    out.

    Args:
        ledger: The open ledger.
        found: The `finish_by` of each, wall clock.
    """
    with ledger.write() as connection:
        rows = [
            {"occurrence": number, "finish_by_ns": found[_identity(*key)], "is_decided": False}
            for is_one in id_filters(list(found))
            for number, *key in connection.execute(sa.select(occurrences.c.id, *KEY).where(is_one, OPEN))
        ]
        if rows:
            connection.execute(insert_or_skip(connection, late_finishes), rows)


def find_undecided(connection: Connection) -> Sequence[LateFinish]:
    """Return the late finishes whose notifications are not decided, in the order of their rows."""
    columns = late_finishes.c.occurrence, late_finishes.c.finish_by_ns, occurrences.c.planned_at_ns, *KEY
    query = sa.select(*columns).join(occurrences).where(sa.not_(late_finishes.c.is_decided))
    return [
        LateFinish(number=number, id=_identity(*key), planned_at_ns=planned_at_ns, finish_by_ns=by_ns)
        for number, by_ns, planned_at_ns, *key in connection.execute(
            query.order_by(late_finishes.c.occurrence).limit(_MOST)
        )
    ]


def set_decided(connection: Connection, numbers: Sequence[int]) -> None:
    """Note in the caller's transaction that the notifications about these are decided."""
    for start in range(0, len(numbers), CHUNK):
        is_one = late_finishes.c.occurrence.in_(numbers[start : start + CHUNK])
        connection.execute(late_finishes.update().where(is_one).values(is_decided=True))


def _identity(job: str, fire_time_ns: int, run: int) -> OccurrenceId:
    return OccurrenceId(job=job, fire_time_ns=fire_time_ns, run=run)
