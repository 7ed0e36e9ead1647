"""The replay of a journal: outcomes that the database had refused, written by the next process."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tminus.errors import LedgerValueError
from tminus.ledger import outcomes
from tminus.ledger.engine import Ledger
from tminus.ledger.journal_records import Recordable
from tminus.ledger.rows import KEY, id_filters
from tminus.ledger.tables import instances, occurrences, releases
from tminus.model.batch import OccurrenceResult, RetryRecord, UnstartedResult
from tminus.model.occurrence import Attempt, OccurrenceId

#: Outcomes per transaction.
_CHUNK = 100


@dataclass(frozen=True, slots=True)
class _Row:
    """What decides whether an outcome still applies to a row."""

    is_open: bool
    attempts: int  #: the number of the last attempt in the ledger
    released_by: str | None  #: the process that has released it


def knows(ledger: Ledger, instance: str) -> bool:
    """Return whether a process with this id has run jobs on this ledger."""
    with ledger.read() as connection:
        return connection.scalar(sa.select(instances.c.id).where(instances.c.id == instance)) is not None


def replay(
    ledger: Ledger, items: Sequence[Recordable], *, instance: str, now_ns: int
) -> tuple[int, list[tuple[OccurrenceId, LedgerValueError]]]:
    """
    Write the outcomes of a journal, while nothing else runs on this ledger. It may be interrupted and
    repeated.

    An outcome is left out if its occurrence has ended, if the ledger has that attempt, or if another process
    has released the occurrence since.

    Args:
        ledger: Locked by this process.
        items: The content of the journal, in its order.
        instance: The process that wrote it.
        now_ns: Wall clock.

    Returns:
        How many were written, and those that the ledger does not take, each with the error.
    """
    written, refused = 0, list[tuple[OccurrenceId, LedgerValueError]]()
    for start in range(0, len(items), _CHUNK):
        current = _still_current(ledger, items[start : start + _CHUNK], instance)
        try:
            _write(ledger, current, now_ns=now_ns)
            written += len(current)
        except LedgerValueError:
            for item in current:
                try:
                    _write(ledger, [item], now_ns=now_ns)
                    written += 1
                except LedgerValueError as error:
                    refused.append((item.id, error))
    return written, refused


def _write(ledger: Ledger, items: Sequence[Recordable], *, now_ns: int) -> None:
    # An attempt that failed comes before the outcome of the attempt after it.
    if retries := [item for item in items if isinstance(item, RetryRecord)]:
        outcomes.record_retries(ledger, retries)
    if ended := [item for item in items if isinstance(item, OccurrenceResult)]:
        outcomes.record(ledger, ended)
    if unstarted := [item for item in items if isinstance(item, UnstartedResult)]:
        outcomes.record_unstarted(ledger, unstarted, now_ns=now_ns)


def _still_current(ledger: Ledger, items: Sequence[Recordable], instance: str) -> list[Recordable]:
    with ledger.read() as connection:
        rows = _rows(connection, [item.id for item in items])
        return [
            item
            for item in items
            if (_applies(item, row, instance) if (row := rows.get(item.id)) else _is_new(connection, item))
        ]


def _applies(item: Recordable, row: _Row, instance: str) -> bool:
    tried = _attempts(item)
    is_ours = row.released_by is None or row.released_by == instance
    return row.is_open and is_ours and (not tried or tried[-1].attempt > row.attempts)


def _attempts(item: Recordable) -> Sequence[Attempt]:
    match item:
        case RetryRecord():
            return [item.attempt]
        case OccurrenceResult():
            return item.attempts
        case UnstartedResult():
            return ()


def _is_new(connection: Connection, item: Recordable) -> bool:
    """Return whether an occurrence without a row of its own is not part of a row with a count."""
    if not isinstance(item, UnstartedResult):
        return False
    covers = sa.and_(
        occurrences.c.job == item.id.job,
        occurrences.c.run == 0,
        occurrences.c.fire_time_ns <= item.id.fire_time_ns,
        occurrences.c.covers_until_ns >= item.id.fire_time_ns,
    )
    return item.id.run > 0 or not connection.scalar(sa.select(sa.exists().where(covers)))


def _rows(connection: Connection, ids: Sequence[OccurrenceId]) -> dict[OccurrenceId, _Row]:
    query = sa.select(
        *KEY,
        occurrences.c.outcome,
        occurrences.c.attempts,
        sa.case((releases.c.releasing_ns.is_not(None), releases.c.instance)).label("released_by"),
    ).join(releases, occurrences.c.release == releases.c.number, isouter=True)
    found: dict[OccurrenceId, _Row] = {}
    for is_one in id_filters(ids):
        for row in connection.execute(query.where(is_one)):
            identity = OccurrenceId(job=row.job, fire_time_ns=row.fire_time_ns, run=row.run)
            found[identity] = _Row(row.outcome is None, row.attempts, row.released_by)
    return found
