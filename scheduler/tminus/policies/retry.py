"""Retry: whether an attempt that failed is followed by another one, and when."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum

from tminus.instants import MS, SECOND, to_ns
from tminus.outcome import Cause

#: Due times of attempts are multiples of this, so that a thousand of them are few batches.
_GRID_NS = 50 * MS
#: The causes that a word under `retry_on` stands for. Each other word is the name of one cause.
_CAUSES_OF_WORD = {
    "connect": frozenset({Cause.DNS, Cause.CONNECT, Cause.DIED, Cause.PEER_PREEMPTED}),
}
#: What `retry_on` may name besides status codes and exceptions.
WORDS = ("connect", "timeout", "tls", "partial", "protocol", "resource", "exception")


class Jitter(StrEnum):
    """The part of a backoff that is random, so that a thousand failed jobs do not come back together."""

    FULL = "full"  #: all of it
    NONE = "none"  #: none of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """
    The retry policy of a job.

    Attributes:
        max_attempts: The most attempts of an occurrence, with the first one.
        max_interval_ns: The longest wait, even if `Retry-After` asks for more.
        words: Of `WORDS`.
        statuses: Status codes and classes.
        exceptions: Names of exceptions, `Name` or `module.Name`, each with all that derive from it.
    """

    max_attempts: int = 1
    initial_interval_ns: int = 2 * SECOND
    backoff_coefficient: float = 2.0
    max_interval_ns: int = 60 * SECOND
    jitter: Jitter = Jitter.FULL
    words: Collection[str] = ("connect", "timeout", "exception")
    statuses: Sequence[range] = (range(408, 409), range(425, 426), range(429, 430), range(500, 600))
    exceptions: Collection[str] = ()
    respect_retry_after: bool = True


NO_RETRY = Retry()


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """
    The failed attempt, as far as a retry depends on it.

    Attributes:
        number: 1 for the first attempt.
        cause: A word of `outcome.Cause`.
        status: Of the response; 0 if there was none.
        raised: The class of the exception that a function raised, and its bases, as `module.Name`.
        retry_after: The value of the response's `Retry-After`; empty if there was none.
    """

    number: int
    cause: str
    status: int = 0
    raised: Sequence[str] = ()
    retry_after: str = ""


def next_attempt_ns(policy: Retry, failed: FailedAttempt, *, now_ns: int, draw: float) -> int | None:
    """
    Return when the next attempt is due, wall clock; None if there is none.

    Args:
        now_ns: Wall clock, the end of the attempt.
        draw: A random number from 0 to 1.
    """
    if failed.number >= policy.max_attempts or not _is_retried(policy, failed):
        return None
    wait_ns = backoff_ns(policy, failed.number, draw=draw)
    if policy.respect_retry_after and failed.retry_after:
        wait_ns = max(wait_ns, _retry_after_ns(failed.retry_after, now_ns=now_ns))
    return due_ns(now_ns + min(wait_ns, policy.max_interval_ns))


def due_ns(at_ns: int) -> int:
    """Return the first due time of an attempt at or after an instant."""
    return -(-at_ns // _GRID_NS) * _GRID_NS


def backoff_ns(policy: Retry, number: int, *, draw: float) -> int:
    """
    Return the wait after this attempt, at most `max_interval_ns`.

    Args:
        number: 1 for the first attempt.
        draw: A random number from 0 to 1.
    """
    try:
        grown = policy.initial_interval_ns * policy.backoff_coefficient ** (number - 1)
    except OverflowError:
        grown = policy.max_interval_ns
    longest = min(grown, policy.max_interval_ns)
    return round(longest * draw if policy.jitter is Jitter.FULL else longest)


def _is_retried(policy: Retry, failed: FailedAttempt) -> bool:
    if failed.cause == Cause.STATUS:
        return any(failed.status in statuses for statuses in policy.statuses)
    if failed.cause == Cause.EXCEPTION and any(_is_named(policy.exceptions, name) for name in failed.raised):
        return True
    return any(failed.cause == word or failed.cause in _CAUSES_OF_WORD.get(word, ()) for word in policy.words)


def _is_named(names: Collection[str], name: str) -> bool:
    return name in names or name.rpartition(".")[2] in names


def _retry_after_ns(text: str, *, now_ns: int) -> int:
    """
    Return how long a `Retry-After` asks to wait; 0 if it is neither seconds nor a date (RFC 9110, section
    10.2.3).
    """
    if text.isascii() and text.isdecimal():
        return int(text[:12]) * SECOND
    try:
        return max(to_ns(parsedate_to_datetime(text)) - now_ns, 0)
    except (TypeError, ValueError, OverflowError):
        return 0
