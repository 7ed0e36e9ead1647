"""Background runs for applications: submit, status, cancel."""

import json
import secrets

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tminus.ledger import changes
from tminus.ledger.engine import Ledger
from tminus.ledger.rows import OPEN, blank_row
from tminus.ledger.statements import insert_or_skip
from tminus.ledger.tables import apps, occurrences, releases, runs
from tminus.model.background import RunStatus, Submission, SubmissionReceipt
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import OccurrenceState, Origin, Outcome


def submit(ledger: Ledger, work: Submission, *, now_ns: int) -> SubmissionReceipt:
    """
    Write a background run. It is durable when this returns.

    Raises:
        LedgerError: the run is not durable.
    """
    accepted_ns = now_ns
    row = {
        "id": secrets.token_hex(16),
        "app": work.app,
        "ref": work.ref,
        "options": json.dumps(dict(work.options)),
        "given": json.dumps(dict(work.given)),
    }
    query = sa.select(runs.c.id).where(runs.c.id == row["id"])
    with ledger.write(is_durable=lambda other: other.execute(query).first() is not None) as connection:
        while True:
            occurrence = OccurrenceId(job=work.ref.replace(":", "."), fire_time_ns=accepted_ns)
            number = _insert(connection, occurrence, work.planned_at_ns or accepted_ns)
            if number is not None:
                break
            accepted_ns += 1  # another run was accepted in this nanosecond
        connection.execute(runs.insert(), row | {"occurrence": number})
        changes.publish(connection)
    return SubmissionReceipt(row["id"], occurrence)


def _insert(connection: Connection, occurrence: OccurrenceId, planned_at_ns: int) -> int | None:
    row = blank_row(occurrence, planned_at_ns=planned_at_ns, origin=Origin.BACKGROUND) | {
        "state": OccurrenceState.QUEUED.value
    }
    return connection.execute(
        insert_or_skip(connection, occurrences).returning(occurrences.c.id), row
    ).scalar()


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
        attempts=row[occurrences.c.attempts],
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
