"""Retries: the next attempt of an occurrence, if its policy asks for one."""

import random
from collections.abc import Sequence
from dataclasses import replace

from tminus.daemon.attempts.evaluation import unknown_attempt
from tminus.executors.protocol import AttemptResult
from tminus.model.batch import DueOccurrence, OccurrenceResult, ScheduledRetry
from tminus.model.occurrence import Attempt
from tminus.outcome import FAILED_RUNS, Cause, Outcome
from tminus.policies.retry import FailedAttempt, Retry, backoff_ns, due_ns, next_attempt_ns
from tminus.policies.unknown import is_tried_again

_draw = random.SystemRandom().random  # forked processes would share the state of a seeded generator


def retry_after_report(
    due: DueOccurrence, ended: OccurrenceResult, report: AttemptResult
) -> ScheduledRetry | None:
    """
    Return the next attempt after one that was reported; None if there is none.

    Args:
        due: The attempt that has ended.
        ended: How its occurrence ends, unless there is another attempt.
        report: The report of its executor.
    """
    if ended.outcome is Outcome.UNKNOWN:
        return retry_after_unknown(due, ended)
    at_ns = retry_at_ns(due.job.retry, ended, report)
    return None if at_ns is None else _scheduled(due, ended, ended.attempts[-1], at_ns)


def retry_after_unknown(due: DueOccurrence, ended: OccurrenceResult) -> ScheduledRetry | None:
    """
    Return the next attempt after one with an unknown result; None if there is none. Arguments as for
    `retry_after_report`.
    """
    job, now_ns = due.job, ended.finished_at_ns
    if not is_tried_again(job.on_unknown, attempt=due.attempt, max_attempts=job.retry.max_attempts):
        return None
    at_ns = due_ns(now_ns + backoff_ns(job.retry, due.attempt, draw=_draw()))
    if ended.attempts:
        return _scheduled(due, ended, ended.attempts[-1], at_ns)
    # Its process was lost before it could report a start.
    return _scheduled(due, ended, unknown_attempt(due.attempt, ended.reason or "", now_ns=now_ns), at_ns)


def retry_at_ns(policy: Retry, ended: OccurrenceResult, report: AttemptResult) -> int | None:
    """
    Return when the next attempt is due, wall clock; None if there is none.

    Args:
        policy: The retry policy of the job or background run.
        ended, report: As for `retry_after_report`.
    """
    if ended.outcome not in FAILED_RUNS or not ended.attempts:
        return None
    failed = FailedAttempt(
        number=ended.attempts[-1].attempt,
        cause=report.cause or Cause.STATUS,
        status=report.status,
        raised=report.raised,
        retry_after=_retry_after_header(report.headers),
    )
    return next_attempt_ns(policy, failed, now_ns=report.finished_ns, draw=_draw())


def _scheduled(due: DueOccurrence, ended: OccurrenceResult, attempt: Attempt, at_ns: int) -> ScheduledRetry:
    again = replace(due, previous=attempt, retry_at_ns=at_ns, is_written=True)
    return ScheduledRetry(attempt=attempt, due=again, executor=ended.executor)


def _retry_after_header(headers: Sequence[str]) -> str:
    """Return the value of the last `Retry-After`: headers of a redirect come first."""
    values = [line.partition(":")[2].strip() for line in headers if line[:12].lower() == "retry-after:"]
    return values[-1] if values else ""
