"""`retry:`, from its model to the policy."""

from typing import Any

from tminus.jobsfile.jobs import schema
from tminus.jobsfile.types.maps import validate_map
from tminus.model.job import StatusRange
from tminus.policies.retry import WORDS, Retry

_BUILT_IN: Any = validate_map(schema.RetrySpec, schema.BUILT_IN["retry"]).model


def retry_of(spec: schema.RetrySpec) -> Retry:
    """Return the policy that a model without faults describes."""
    reasons = _given(spec.retry_on, _BUILT_IN.retry_on)
    statuses = [reason for reason in reasons if isinstance(reason, StatusRange)]
    names = [reason for reason in reasons if isinstance(reason, str)]
    return Retry(
        max_attempts=_given(spec.max_attempts, _BUILT_IN.max_attempts),
        initial_interval_ns=_given(spec.initial_interval, _BUILT_IN.initial_interval),
        backoff_coefficient=_given(spec.backoff_coefficient, _BUILT_IN.backoff_coefficient),
        max_interval_ns=_given(spec.max_interval, _BUILT_IN.max_interval),
        jitter=_given(spec.jitter, _BUILT_IN.jitter),
        words=tuple(name for name in names if name in WORDS),
        statuses=tuple(range(status.first, status.last + 1) for status in statuses),
        exceptions=tuple(name for name in names if name not in WORDS),
        respect_retry_after=_given(spec.respect_retry_after, _BUILT_IN.respect_retry_after),
    )


def submitted_retry(written: Any) -> Retry:
    """Return the policy that a decorator has written; leave out what is wrong in it."""
    return retry_of(validate_map(schema.RetrySpec, written).model)


def _given(value: Any, built_in: Any) -> Any:
    return built_in if value is None else value
