"""
Occurrences that an earlier process has left open in the ledger: they run by the configuration in force.

A row says which job is to start, when, and with which params. What that job does is never read from the ledger, because anyone
who can write to the ledger could choose it.
"""

from collections.abc import Sequence

import structlog

from scheduler.daemon.handed_over import due_of
from scheduler.ledger import background, history
from scheduler.ledger.background import Run
from scheduler.ledger.engine import Ledger
from scheduler.model.batch import Due
from scheduler.model.definitions import Definitions
from scheduler.model.occurrence import Occurrence, OccurrenceId
from scheduler.outcome import Origin

log = structlog.get_logger()


def due_by(definitions: Definitions, occurrence: Occurrence) -> Due | None:
    """Return what is due for an occurrence, by its job in the definitions in force; None if that job does not exist."""
    job = definitions.jobs.get(occurrence.id.job)
    if job is None:
        return None
    given = occurrence.params if occurrence.origin is Origin.MANUAL else {}
    return Due(
        id=occurrence.id,
        job=job,
        planned_at_ns=occurrence.planned_at_ns,
        origin=occurrence.origin,
        config_version=definitions.version,
        params={name: given.get(name, value) for name, value in job.params.items()},
        is_written=True,
    )


def dues_of(ledger: Ledger, definitions: Definitions, ids: Sequence[OccurrenceId]) -> dict[OccurrenceId, Due]:
    """
    Return these occurrences, of any kind, each with what it runs; leave out those for which that is unknown.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    found: dict[OccurrenceId, Due] = {}
    rows = [one for one in history.of_ids(ledger, ids, unreadable=unreadable) if one.origin is not Origin.BACKGROUND]
    every: list[Occurrence | Run] = [*rows, *background.of_ids(ledger, ids).values()]
    for one in every:
        try:
            due = due_of(one) if isinstance(one, Run) else due_by(definitions, one)
        except Exception:
            log.exception("an occurrence makes no sense", occurrence=str(one.occurrence if isinstance(one, Run) else one.id))
        else:
            found |= {due.id: due} if due else {}
    return found


def unreadable(row: int) -> None:
    """Log that the occurrence with this row number makes no sense; it costs itself alone."""
    log.error("an occurrence makes no sense, it stays as it is", row=row)
