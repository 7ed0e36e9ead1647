"""Backfill: run past fire times that have not run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy.engine import Connection

from tminus.errors import UsageError
from tminus.instants import LATEST_NS, rfc3339
from tminus.ledger.fire_time_runs import deleted_until_ns, last_runs
from tminus.ledger.requests import RequestRow
from tminus.ledger.rows import insert_new, new_row
from tminus.model.batch import DueOccurrence
from tminus.model.definitions import Definitions
from tminus.model.job import Job
from tminus.model.occurrence import OccurrenceId
from tminus.operations.job_request import jobs_in
from tminus.outcome import OccurrenceState, Origin, Outcome
from tminus.schedule.fire_times import between

#: Fire times of one request.
MOST = 10_000
#: Outcomes of fire times that a backfill runs; any other one has run, or is about to.
_NOT_RUN = (Outcome.MISSED, Outcome.SKIPPED, Outcome.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillPlan:
    """
    Attributes:
        due_occurrences: What runs, in the order of the fire times.
        left_alone: For each job, the number of fire times that have run or are about to.
    """

    due_occurrences: Sequence[DueOccurrence]
    left_alone: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """Return the JSON of `tminus backfill`."""
        return {
            "occurrences": [str(due.id) for due in self.due_occurrences],
            "left_alone": dict(self.left_alone),
        }


def to_body(jobs: Sequence[str], *, from_ns: int, to_ns: int) -> dict[str, Any]:
    """Return the body of a request row: the fire times from one instant to another, both included."""
    return {"jobs": list(jobs), "from_ns": from_ns, "to_ns": to_ns}


def plan(
    connection: Connection, body: Mapping[str, Any], definitions: Definitions, *, now_ns: int
) -> BackfillPlan:
    """
    Return what a backfill would run: by the schedules in force, each past fire time without an occurrence, or
    with only missed, skipped or cancelled ones.

    Args:
        connection: Reads the ledger.
        body: The body of a request row.
        definitions: The definitions in force.
        now_ns: Wall clock.

    Raises:
        JobNotFound: there is no such job.
        UsageError: the body is malformed, the stretch is empty or not past, there are too many fire times, or
            history of the stretch was deleted.
    """
    names, from_ns, to_ns = jobs_in(body, definitions), body.get("from_ns"), body.get("to_ns")
    if not (type(from_ns) is int and type(to_ns) is int and 0 <= from_ns <= LATEST_NS):
        raise UsageError("the request to backfill is malformed")
    if to_ns < from_ns:
        raise UsageError(f"{rfc3339(to_ns)} is before {rfc3339(from_ns)}")
    if to_ns > now_ns:
        raise UsageError(f"{rfc3339(to_ns)} is not past", hint="a schedule starts what is to come")
    found: list[DueOccurrence] = []
    left_alone: Counter[str] = Counter()
    for name in names:
        job = definitions.jobs[name]
        if not job.schedule:
            raise UsageError(f"{name} has no schedule", hint=f"tminus run-now {name}")
        deleted_ns = deleted_until_ns(connection, name)
        if deleted_ns is not None and deleted_ns >= from_ns:
            raise UsageError(
                f"history of {name} up to {rfc3339(deleted_ns)} was deleted, so what ran then is not known",
                hint="name a later --from",
            )
        runs = last_runs(connection, name, from_ns=from_ns, to_ns=to_ns)
        for fire_time_ns in islice(between(job.schedule, from_ns - 1, to_ns), MOST + 1):
            last = runs.get(fire_time_ns)
            if last is not None and any(outcome not in _NOT_RUN for outcome in last.outcomes):
                left_alone[name] += 1
                continue
            # Run 0 belongs to the schedule, also if a row with a count stands for this fire time.
            run = last.run + 1 if last is not None else 1
            found.append(_due(job, fire_time_ns, run, definitions.version, now_ns=now_ns))
        if len(found) + left_alone.total() > MOST:
            raise UsageError(f"these are more than {MOST} fire times", hint="backfill a part of them first")
    found.sort(key=lambda due: (due.id.fire_time_ns, due.id.job))
    return BackfillPlan(due_occurrences=found, left_alone=left_alone)


def accept(connection: Connection, row: RequestRow, definitions: Definitions, *, now_ns: int) -> BackfillPlan:
    """
    Write the occurrences that a request asks for as queued, in the transaction in which it is taken.

    Raises:
        JobNotFound, UsageError: as `plan`; nothing is written then.
    """
    found = plan(connection, row.body, definitions, now_ns=now_ns)
    queued = {"state": OccurrenceState.QUEUED.value, "request": row.id}
    insert_new(
        connection, [new_row(due, buffered_ns=due.room_at_ns, **queued) for due in found.due_occurrences]
    )
    return found


def _due(job: Job, fire_time_ns: int, run: int, version: str, *, now_ns: int) -> DueOccurrence:
    return DueOccurrence(
        id=OccurrenceId(job=job.name, fire_time_ns=fire_time_ns, run=run),
        job=job,
        planned_at_ns=now_ns,
        origin=Origin.BACKFILL,
        config_version=version,
        params=job.params,
        is_written=True,
        room_at_ns=now_ns,
    )
