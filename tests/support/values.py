"""Jobs and due occurrences, ready-made: a test names only the values that it is about."""

from typing import Any

from tminus.instants import MS, SECOND
from tminus.model.batch import DueOccurrence, OccurrenceResult
from tminus.model.job import HttpTarget, Job, SourceLocation, StatusRange
from tminus.model.occurrence import Attempt, OccurrenceId
from tminus.outcome import Origin, Outcome
from tminus.policies.coalesce import Coalesce
from tminus.policies.overlap import Overlap
from tminus.policies.timeouts import Timeouts

_JOB: dict[str, Any] = {
    "target": HttpTarget(url="http://127.0.0.1:1/"),
    "schedule": (),
    "schedule_text": "manual",
    "zone": "UTC",
    "timeouts": Timeouts(
        connect_ns=3 * SECOND, first_byte_ns=10 * SECOND, total_ns=30 * SECOND, kill_after_ns=10 * SECOND
    ),
    "misfire_grace_ns": 30 * SECOND,
    "coalesce": Coalesce.LATEST,
    "max_instances": 1,
    "overlap": Overlap.SKIP,
    "expect_status": (StatusRange(200, 299),),
    "params": {},
    "tags": (),
    "description": None,
    "suspended": False,
    "place": SourceLocation("jobs.yaml", 1),
}


def a_job(name: str = "pay", **different: Any) -> Job:
    """Return a job with the built-in policies."""
    return Job(name=name, **{**_JOB, **different})


def a_due(
    job: Job | None = None, *, fire_time_ns: int, planned_at_ns: int | None = None, **different: Any
) -> DueOccurrence:
    """Return a due occurrence of a schedule."""
    job = job or a_job()
    values: dict[str, Any] = {
        "origin": Origin.SCHEDULE,
        "config_version": "0123456789ab",
        "params": job.params,
    }
    identity = OccurrenceId(job=job.name, fire_time_ns=fire_time_ns, run=different.pop("run", 0))
    planned_at_ns = fire_time_ns if planned_at_ns is None else planned_at_ns
    return DueOccurrence(id=identity, job=job, planned_at_ns=planned_at_ns, **{**values, **different})


def an_attempt(
    number: int = 1, *, at_ns: int, outcome: Outcome = Outcome.SUCCEEDED, **different: Any
) -> Attempt:
    """Return an attempt that started at this instant and took 5 ms."""
    values: dict[str, Any] = {
        "finished_at_ns": at_ns + 5 * MS,
        "duration_ns": 5 * MS,
        "armed": True,
        "http_status": 200,
    }
    return Attempt(attempt=number, started_at_ns=at_ns, outcome=outcome, **{**values, **different})


def an_ending(
    due: DueOccurrence, outcome: Outcome = Outcome.SUCCEEDED, *, reason: str | None = None, **different: Any
) -> OccurrenceResult:
    """Return the result of an occurrence after one attempt, which started a millisecond after T."""
    attempt = an_attempt(at_ns=due.planned_at_ns + MS, outcome=outcome, reason=reason)
    values: dict[str, Any] = {
        "finished_at_ns": attempt.finished_at_ns,
        "executor": "http-1@here",
        "attempts": (attempt,),
    }
    return OccurrenceResult(id=due.id, outcome=outcome, reason=reason, **{**values, **different})
