"""
Occurrences that an earlier process has left open in the ledger: they run by the configuration in force.

A row says which job is to start, when, and with which params. The definition of the job is never read from
the ledger, because anyone who can write to the ledger could choose it.
"""

from collections.abc import Sequence

import structlog

from tminus.daemon.runs.background_adapter import to_run
from tminus.ledger import background_queue, history
from tminus.ledger.background_queue import QueuedRun
from tminus.ledger.engine import Ledger
from tminus.model.batch import AnyRun, DueOccurrence
from tminus.model.definitions import Definitions
from tminus.model.occurrence import Attempt, Occurrence, OccurrenceId
from tminus.outcome import Origin
from tminus.schedule.times_of_day import last_start_ns

log = structlog.get_logger()


def due_by(
    definitions: Definitions, occurrence: Occurrence, *, previous: Attempt | None = None
) -> DueOccurrence | None:
    """
    Return the due occurrence of a row, by its job in the definitions in force; None if there is no such job.

    Args:
        previous: Its last attempt that has ended.
    """
    job = definitions.jobs.get(occurrence.id.job)
    if job is None:
        return None
    given = occurrence.params if occurrence.origin is Origin.MANUAL else {}
    return DueOccurrence(
        id=occurrence.id,
        job=job,
        planned_at_ns=occurrence.planned_at_ns,
        origin=occurrence.origin,
        config_version=definitions.version,
        params={name: given.get(name, value) for name, value in job.params.items()},
        cause=occurrence.cause,
        is_written=True,
        room_at_ns=occurrence.buffered_ns,
        previous=previous,
        retry_at_ns=occurrence.next_attempt_ns,
        not_after_ns=last_start_ns(job, occurrence.id.fire_time_ns, origin=occurrence.origin),
    )


def runs_by_id(
    ledger: Ledger, definitions: Definitions, ids: Sequence[OccurrenceId]
) -> dict[OccurrenceId, AnyRun]:
    """
    Return the runs of these occurrences, of any kind, by their ids, except those that are not valid or whose
    job does not exist any more.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    found: dict[OccurrenceId, AnyRun] = {}
    rows = [
        one
        for one in history.find_by_ids(ledger, ids, unreadable=unreadable)
        if one.origin is not Origin.BACKGROUND
    ]
    every: list[Occurrence | QueuedRun] = [*rows, *background_queue.load_runs(ledger, ids).values()]
    for one in every:
        try:
            run = to_run(one) if isinstance(one, QueuedRun) else due_by(definitions, one)
        except Exception:
            log.exception(
                "an occurrence is not valid",
                occurrence=str(one.occurrence if isinstance(one, QueuedRun) else one.id),
            )
        else:
            if run is not None:
                found[run.id] = run
    return found


def unreadable(row: int) -> None:
    """Log that the occurrence with this row number is not valid. No other one is affected."""
    log.error("an occurrence is not valid, it stays as it is", row=row)
