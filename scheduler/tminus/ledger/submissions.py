"""Background runs for applications: submit, status, cancel."""

import json
import secrets
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tminus.errors import UsageError
from tminus.ledger import changes
from tminus.ledger.engine import Ledger
from tminus.ledger.rows import OPEN, blank_row
from tminus.ledger.statements import insert_rows_or_skip
from tminus.ledger.tables import apps, occurrences, releases, runs
from tminus.model.background import RunStatus, Submission, SubmissionReceipt
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import OccurrenceState, Origin, Outcome


def submit(ledger: Ledger, work: Submission, *, now_ns: int) -> SubmissionReceipt:
    """
    Write a background run, unless there is one with its id. It is durable when this returns.

    Returns:
        The receipt of the run, or of the one that has its id.

    Raises:
        LedgerError: the run is not durable. If the ledger could not be read back, that is not known.
        UsageError: the run with its id calls another function, or belongs to another application.
    """
    (receipt,) = submit_all(ledger, [work], now_ns=now_ns)
    return receipt


def submit_all(ledger: Ledger, works: Sequence[Submission], *, now_ns: int) -> list[SubmissionReceipt]:
    """
    Write background runs of one function in one transaction: all of them or none. Returns and raises as
    `submit`, in their order.
    """
    accepted_ns, step_ns = now_ns, max(len(works), 1)
    while works:
        new = [
            SubmissionReceipt(
                work.id or secrets.token_hex(16),
                OccurrenceId(job=work.ref.replace(":", "."), fire_time_ns=accepted_ns + number),
            )
            for number, work in enumerate(works)
        ]
        last = new[-1]
        written = (
            sa.select(runs.c.id)
            .select_from(runs.join(occurrences))
            .where(runs.c.id == last.id, occurrences.c.fire_time_ns == last.occurrence.fire_time_ns)
        )
        try:
            with ledger.write(
                is_durable=lambda other, written=written: other.execute(written).first() is not None  # type: ignore[misc]
            ) as connection:
                _insert(connection, works, new)
                changes.publish(connection)
        except _FireTimeTaken:
            # The calls of one `map` have all nanoseconds of a stretch.
            accepted_ns, step_ns = accepted_ns + step_ns, 2 * step_ns
        except _IdTaken:
            return [_receipt_of(ledger, work) for work in works]
        else:
            return new
    return []


class _FireTimeTaken(Exception):
    """Another run of the function was accepted in one of these nanoseconds. Nothing is written."""


class _IdTaken(Exception):
    """There is a run with this id. Nothing is written."""


def _insert(connection: Connection, works: Sequence[Submission], new: Sequence[SubmissionReceipt]) -> None:
    rows = [
        blank_row(
            receipt.occurrence,
            planned_at_ns=work.planned_at_ns or receipt.occurrence.fire_time_ns,
            origin=Origin.BACKGROUND,
        )
        | {"state": OccurrenceState.QUEUED.value}
        for work, receipt in zip(works, new, strict=True)
    ]
    key = (occurrences.c.fire_time_ns, occurrences.c.id)
    inserted = insert_rows_or_skip(connection, occurrences, rows, returning=key)
    numbers = {row.fire_time_ns: row.id for row in inserted}
    if len(numbers) < len(works):
        raise _FireTimeTaken
    rows = [
        {
            "id": receipt.id,
            "occurrence": numbers[receipt.occurrence.fire_time_ns],
            "app": work.app,
            "ref": work.ref,
            "options": json.dumps(dict(work.options)),
            "given": json.dumps(dict(work.given)),
        }
        for work, receipt in zip(works, new, strict=True)
    ]
    if len(insert_rows_or_skip(connection, runs, rows, returning=(runs.c.id,)).all()) < len(works):
        raise _IdTaken


def _receipt_of(ledger: Ledger, work: Submission) -> SubmissionReceipt:
    query = sa.select(runs, occurrences).select_from(runs.join(occurrences)).where(runs.c.id == work.id)
    with ledger.read() as connection:
        row = connection.execute(query).mappings().one()
    if (row[runs.c.app], row[runs.c.ref]) != (work.app, work.ref):
        raise UsageError(
            f"the run {work.id} calls {row[runs.c.ref]} of {row[runs.c.app]}", hint="give this one another id"
        )
    return SubmissionReceipt(row[runs.c.id], identity_of(row))


def get_status(ledger: Ledger, identity: str) -> RunStatus | None:
    """Return the state and the outcome of a run; None if it is not in the ledger."""
    is_released = sa.and_(OPEN, releases.c.releasing_ns.is_not(None))
    tables = runs.join(occurrences).outerjoin(releases, occurrences.c.release == releases.c.number)
    query = (
        sa.select(runs, occurrences, is_released.label("is_released"))
        .select_from(tables)
        .where(runs.c.id == identity)
    )
    with ledger.read() as connection:
        row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    return RunStatus(
        id=identity,
        number=row[occurrences.c.id],
        occurrence=identity_of(row),
        app=row[runs.c.app],
        state=OccurrenceState.RUNNING if row["is_released"] else OccurrenceState(row[occurrences.c.state]),
        outcome=Outcome(row[occurrences.c.outcome]) if row[occurrences.c.outcome] else None,
        reason=row[occurrences.c.reason],
        attempts=row[occurrences.c.attempts] + bool(row["is_released"]),
        progress=row[runs.c.progress],
        progress_text=row[runs.c.progress_text],
        result=json.loads(row[runs.c.result]) if row[runs.c.result] else None,
    )


def cancel(ledger: Ledger, number: int, *, now_ns: int) -> bool:
    """Cancel a queued run, by its row number; return False if it is not queued."""
    waits = sa.and_(occurrences.c.id == number, occurrences.c.state == OccurrenceState.QUEUED.value, OPEN)
    values = {
        "state": OccurrenceState.FINISHED.value,
        "outcome": Outcome.CANCELLED.value,
        "reason": "cancelled before it began",
        "finished_at_ns": now_ns,
    }
    with ledger.write() as connection:
        if connection.execute(occurrences.update().where(waits).values(values)).rowcount == 0:
            return False
        connection.execute(runs.update().where(runs.c.occurrence == number).values(given=None))
        return True


def known_apps(ledger: Ledger) -> list[str]:
    """Return the applications whose background runs a daemon takes, or took last."""
    with ledger.read() as connection:
        return list(connection.scalars(sa.select(apps.c.name).order_by(apps.c.name)))


def count_waiting(ledger: Ledger) -> dict[str, int]:
    """Return the number of queued runs of each application."""
    waits = sa.and_(occurrences.c.state == OccurrenceState.QUEUED.value, OPEN)
    query = (
        sa.select(runs.c.app, sa.func.count())
        .select_from(runs.join(occurrences))
        .where(waits)
        .group_by(runs.c.app)
    )
    with ledger.read() as connection:
        return {row.app: int(row[1]) for row in connection.execute(query)}


def identity_of(row: RowMapping) -> OccurrenceId:
    """Return the id of the occurrence in a row with all its columns."""
    return OccurrenceId(
        job=row[occurrences.c.job], fire_time_ns=row[occurrences.c.fire_time_ns], run=row[occurrences.c.run]
    )
