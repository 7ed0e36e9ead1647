"""Skip: one fire time of a job does not start."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from tminus.errors import NotPossible, UsageError
from tminus.instants import SECOND, rfc3339
from tminus.ledger import skips
from tminus.ledger.history import find_one
from tminus.ledger.requests import RequestRow
from tminus.model.definitions import Definitions
from tminus.model.job import Job
from tminus.model.occurrence import OccurrenceId
from tminus.operations.job_request import jobs_in
from tminus.outcome import OccurrenceState
from tminus.schedule.fire_times import after, last_between

_YEAR_NS = 366 * 86_400 * SECOND


def check(job: Job, fire_time_ns: int) -> None:
    """
    Check that a job has this fire time.

    Raises:
        UsageError: it does not; the hint has the nearest fire times.
    """
    if job.schedule and after(job.schedule, fire_time_ns - 1) == fire_time_ns:
        return
    before_ns = last_between(job.schedule, max(fire_time_ns - _YEAR_NS, 0), fire_time_ns)
    near = [at for at in (before_ns, after(job.schedule, fire_time_ns)) if at is not None]
    raise UsageError(
        f"{job.name} does not fire at {rfc3339(fire_time_ns)}",
        hint=f"it fires at {' and '.join(map(rfc3339, near))}" if near else "it has no fire time near that",
    )


def to_body(job: Job, *, fire_time_ns: int) -> dict[str, Any]:
    """
    Return the body of a request row.

    Raises:
        UsageError: the job does not fire then.
    """
    check(job, fire_time_ns)
    return {"jobs": [job.name], "fire_time_ns": fire_time_ns}


def accept(connection: Connection, row: RequestRow, definitions: Definitions) -> Mapping[str, Any]:
    """
    Skip the fire time that a request names, in the transaction in which it is taken; return the answer.

    Raises:
        JobNotFound: there is no such job.
        UsageError: the job does not fire then, or the request is malformed.
        NotPossible: it has started, or is over.
    """
    (name, *_), fire_time_ns = jobs_in(row.body, definitions), row.body.get("fire_time_ns")
    if type(fire_time_ns) is not int:
        raise UsageError("the request to skip a fire time is malformed")
    check(definitions.jobs[name], fire_time_ns)
    identity = OccurrenceId(job=name, fire_time_ns=fire_time_ns)
    one = find_one(connection, identity)
    if one is not None and (one.outcome is not None or one.state is OccurrenceState.RUNNING):
        raise NotPossible(f"{identity} is not to come: it is {one.outcome or one.state}")
    skips.add(connection, name, fire_time_ns, by=row.by, now_ns=row.created_ns)
    return {"occurrence": str(identity)}
