"""Re-run: a further occurrence of the same fire time, for the command `tminus retry`."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from tminus.errors import JobNotFound, NotPossible
from tminus.ledger.claims import queue
from tminus.ledger.history import highest_run
from tminus.ledger.requests import RequestRow
from tminus.model.batch import DueOccurrence
from tminus.model.definitions import Definitions
from tminus.model.job import Job
from tminus.model.occurrence import OccurrenceId
from tminus.operations.occurrence_request import occurrence_in
from tminus.operations.run_now import AcceptedRun
from tminus.outcome import Origin


def to_body(identity: OccurrenceId) -> dict[str, Any]:
    """Return the body of a request row."""
    return {"occurrence": str(identity)}


def accept(
    connection: Connection,
    row: RequestRow,
    definitions: Definitions,
    *,
    now_ns: int,
    lead_ns: Callable[[Sequence[Job]], int],
) -> AcceptedRun:
    """
    Write the occurrence that a request asks for, in the transaction in which it is taken. It has the fire
    time of the original, and its params as far as the job still has them. Params that are new have the job's
    values. Its run number is the next free one.

    Args:
        connection: The connection of that transaction.
        row: The request row.
        definitions: The definitions in force.
        now_ns: Wall clock.
        lead_ns: Returns the lead for a batch of these jobs.

    Raises:
        UsageError: the request is malformed.
        NotFound: there is no such occurrence, or its job is gone.
        NotPossible: it is not over, is a background run, or stands for several fire times.
    """
    found = occurrence_in(connection, row.body)
    if found.outcome is None:
        raise NotPossible(f"{found.id} is not over: it is {found.state}")
    if found.origin is Origin.BACKGROUND:
        raise NotPossible(
            f"{found.id} is a background run: its arguments are deleted", hint="submit it again"
        )
    if found.count > 1:
        raise NotPossible(
            f"{found.id} stands for {found.count} fire times",
            hint=f"tminus backfill {found.id.job} --from TIME --to TIME",
        )
    job = definitions.jobs.get(found.id.job)
    if job is None:
        raise JobNotFound(found.id.job, definitions.jobs)
    run, fire_time_ns = highest_run(connection, found.id) + 1, found.id.fire_time_ns
    due = DueOccurrence(
        id=OccurrenceId(job=job.name, fire_time_ns=fire_time_ns, run=run),
        job=job,
        planned_at_ns=now_ns + lead_ns([job]),
        origin=Origin.MANUAL,
        config_version=definitions.version,
        params={name: found.params.get(name, value) for name, value in job.params.items()},
        cause=found.cause,
        is_written=True,
    )
    queue(connection, [due], request=row.id, retry_of=found.id)
    answer = {"occurrences": [str(due.id)], "planned_at_ns": due.planned_at_ns}
    return AcceptedRun(due_occurrences=[due], answer=answer)
