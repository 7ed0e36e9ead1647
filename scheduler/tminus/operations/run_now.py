"""Run now: start jobs manually, several of them as one batch."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from tminus.errors import JobNotFound, UsageError, quoted
from tminus.instants import SECOND, rfc3339
from tminus.ledger.claims import queue
from tminus.ledger.requests import RequestRow
from tminus.model.batch import DueOccurrence
from tminus.model.definitions import Definitions
from tminus.model.job import Job
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import Origin
from tminus.suggestions import did_you_mean

#: More than any job's name has: that is at most 64 characters long.
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNowRequest:
    """
    A request to run jobs now.

    Attributes:
        jobs: The names of the jobs, each once.
        set: Values that replace those under the jobs' `params:`, as text.
        at_ns: T; None for as soon as possible.
    """

    jobs: Sequence[str]
    set: Mapping[str, str]
    at_ns: int | None

    def as_body(self) -> dict[str, Any]:
        """Return the body of a request row."""
        return {"jobs": list(self.jobs), "set": dict(self.set), "at_ns": self.at_ns}

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> "RunNowRequest":
        """
        Parse the body of a request row.

        Raises:
            UsageError: the body is malformed.
        """
        jobs, values, at_ns = body.get("jobs"), body.get("set"), body.get("at_ns")
        if not (
            isinstance(jobs, list)
            and jobs
            and all(isinstance(name, str) and len(name) <= _LONGEST_NAME for name in jobs)
            and isinstance(values, dict)
            and all(isinstance(text, str) for text in values.values())
            and (at_ns is None or type(at_ns) is int)
        ):
            raise UsageError(
                "the request to run jobs is malformed",
                hint="use `tminus run-now`, which writes a valid request",
            )
        return cls(jobs=list(dict.fromkeys(jobs)), set=values, at_ns=at_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedRun:
    """The result of a request: occurrences that are in the ledger and wait for their T."""

    due_occurrences: Sequence[DueOccurrence]
    answer: Mapping[str, Any]


def check(request: RunNowRequest, definitions: Definitions, *, now_ns: int) -> dict[str, dict[str, Any]]:
    """
    Check whether these jobs can be run in this way.

    Returns:
        For each job, the params that it would run with.

    Raises:
        JobNotFound: there is no such job.
        UsageError: the job has no such param, the value is of another type, or T is past.
    """
    if request.at_ns is not None and request.at_ns < now_ns - SECOND:
        raise UsageError(f"{rfc3339(request.at_ns)} is past", hint="leave --at out to run at once")
    params = {}
    for name in request.jobs:
        job = definitions.jobs.get(name)
        if job is None:
            raise JobNotFound(name, definitions.jobs)
        params[name] = {**job.params, **{key: _value(job, key, text) for key, text in request.set.items()}}
    return params


def accept(
    connection: Connection,
    row: RequestRow,
    definitions: Definitions,
    *,
    now_ns: int,
    lead_ns: Callable[[Sequence[Job]], int],
) -> AcceptedRun:
    """
    Write the occurrences that a request asks for, in the transaction in which it is taken.

    Args:
        connection: The connection of that transaction.
        row: The request row.
        definitions: The definitions in force.
        now_ns: Wall clock.
        lead_ns: Returns the lead for a batch of these jobs.

    Raises:
        JobNotFound, UsageError: as `check`; nothing is written then.
    """
    request = RunNowRequest.from_body(row.body)
    params = check(request, definitions, now_ns=min(now_ns, row.created_ns))
    planned_at_ns = request.at_ns
    if planned_at_ns is None:
        planned_at_ns = now_ns + lead_ns([definitions.jobs[name] for name in request.jobs])
    fire_time_ns = row.created_ns
    while True:
        due_occurrences = [
            DueOccurrence(
                id=OccurrenceId(job=name, fire_time_ns=fire_time_ns),
                job=definitions.jobs[name],
                planned_at_ns=planned_at_ns,
                origin=Origin.MANUAL,
                config_version=definitions.version,
                params=params[name],
                is_written=True,
            )
            for name in request.jobs
        ]
        if queue(connection, due_occurrences, request=row.id):
            break
        fire_time_ns += 1  # of two requests in one nanosecond the second one takes the next
    answer = {"occurrences": [str(due.id) for due in due_occurrences], "planned_at_ns": planned_at_ns}
    return AcceptedRun(due_occurrences=due_occurrences, answer=answer)


def _value(job: Job, key: str, text: str) -> Any:
    if key not in job.params:
        hint = (
            f"`params:` of {job.name} has: {', '.join(job.params)}"
            if job.params
            else f"{job.name} has no `params:`"
        )
        raise UsageError(
            f"job {quoted(job.name)} has no param {quoted(key)}{did_you_mean(key, job.params)}", hint=hint
        )
    given = job.params[key]
    if isinstance(given, str):
        return text
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        value = text
    kinds = (int, float) if isinstance(given, int | float) and not isinstance(given, bool) else (type(given),)
    if given is not None and type(value) not in kinds:
        raise UsageError(
            f"--set {key}: {quoted(text)} is not like {json.dumps(given)}",
            hint=f"such as --set {key}={json.dumps(given)}",
        )
    return value


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is Python's, not JSON's")
