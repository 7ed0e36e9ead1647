"""Occurrences as they end, for whoever looks at the ledger again and again."""

from collections.abc import Collection

import sqlalchemy as sa

from tminus.ledger.engine import Ledger
from tminus.ledger.history import find_where
from tminus.ledger.rows import CHUNK, OPEN, Unreadable
from tminus.ledger.tables import occurrences
from tminus.model.occurrence import Occurrence

#: A row may become visible after this many rows with a higher number: other processes write, too.
_LATE_ROWS = 500


class EndedOccurrences:
    """
    Finds the occurrences that have ended since the last look. Not thread-safe.

    Args:
        ledger: The open ledger.
        jobs: Only these jobs; all jobs if empty.
        unreadable: See `rows.Unreadable`.

    Raises:
        LedgerError: the ledger cannot be read.
    """

    def __init__(self, ledger: Ledger, jobs: Collection[str], *, unreadable: Unreadable) -> None:
        self._ledger = ledger
        self._is_wanted = occurrences.c.job.in_(jobs) if jobs else sa.true()
        self._unreadable = unreadable
        with ledger.read() as connection:
            self._last = connection.scalar(sa.select(sa.func.max(occurrences.c.id))) or 0
            self._open = set(connection.scalars(sa.select(occurrences.c.id).where(OPEN, self._is_wanted)))
            recent = sa.select(occurrences.c.id).where(occurrences.c.id > self._last - _LATE_ROWS)
            self._seen = set(connection.scalars(recent))

    def look(self) -> list[Occurrence]:
        """
        Return the occurrences that have ended since the last look, in the order in which they have ended.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        is_recent = occurrences.c.id > self._last - _LATE_ROWS
        with self._ledger.read() as connection:
            rows = connection.execute(
                sa.select(occurrences.c.id, OPEN).where(is_recent, self._is_wanted)
            ).all()
            new = {number: is_open for number, is_open in rows if number not in self._seen}
            waiting = sorted(self._open)
            ended = [number for number, is_open in new.items() if not is_open]
            for start in range(0, len(waiting), CHUNK):
                is_one = occurrences.c.id.in_(waiting[start : start + CHUNK])
                ended += connection.scalars(sa.select(occurrences.c.id).where(is_one, sa.not_(OPEN)))
        self._open |= {number for number, is_open in new.items() if is_open}
        self._open.difference_update(ended)
        self._last = max(self._last, *new) if new else self._last
        self._seen = {number for number in (*self._seen, *new) if number > self._last - _LATE_ROWS}
        found: list[Occurrence] = []
        for start in range(0, len(ended), CHUNK):
            is_one = occurrences.c.id.in_(ended[start : start + CHUNK])
            found += find_where(self._ledger, is_one, unreadable=self._unreadable)
        return sorted(found, key=lambda one: (one.finished_at_ns or 0, one.id))
