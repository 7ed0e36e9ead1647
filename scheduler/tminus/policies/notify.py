"""
Notify: when a channel is told of a failure or a recovery, and when a delivery is tried again or given up.

The first failure of a job is told when its batch has ended, or after `GATHER_NS`. Further failures within
`throttle` are counted, and the next message sums them up. The failures of a batch share one message.
"""

from dataclasses import dataclass, replace

from tminus.instants import SECOND

#: If a batch still runs this long after its first failure, its failures so far are told.
GATHER_NS = 2 * SECOND
#: Later failures of the same batch wait for the end of the batch, at most this long.
GATHER_LATER_NS = 60 * SECOND
#: Between two tries of a delivery: this long at first, then twice as long each time.
_FIRST_PAUSE_NS = 5 * SECOND
_LONGEST_PAUSE_NS = 600 * SECOND
#: A delivery is given up after this time.
KEEP_NS = 86_400 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """
    The record of one job's failures for one channel.

    Attributes:
        since_ns: The planned start of the first failure in a row; wall clock, as all instants here.
        failures: The failures in a row.
        untold: The failures that no message has told yet.
        told_at_ns: When the last message was decided; None if there was none.
        is_failing: Whether the job's last outcome was a failure.
        is_told: Whether a message has told of the failures in a row.
        last: The last failure, for people.
    """

    since_ns: int
    failures: int = 0
    untold: int = 0
    told_at_ns: int | None = None
    is_failing: bool = False
    is_told: bool = False
    last: str = ""

    @property
    def is_recovery_due(self) -> bool:
        """Whether a success now would be news: the channel was told that the job fails."""
        return self.is_failing and self.is_told


def may_tell(alert: Alert | None, *, now_ns: int, throttle_ns: int) -> bool:
    """Return whether a failure may be told now, or is only counted. A clock set back ends the wait."""
    return (
        alert is None
        or alert.told_at_ns is None
        or not alert.told_at_ns <= now_ns < alert.told_at_ns + throttle_ns
    )


def after_failure(alert: Alert | None, *, planned_at_ns: int, last: str, count: int = 1) -> Alert:
    """Return the alert after a failure, which is not told yet."""
    if alert is None:
        alert = Alert(since_ns=planned_at_ns)
    if not alert.is_failing:
        alert = replace(alert, since_ns=planned_at_ns, failures=0, is_failing=True, is_told=False)
    return replace(alert, failures=alert.failures + count, untold=alert.untold + count, last=last)


def after_message(alert: Alert, *, now_ns: int) -> Alert:
    """Return the alert after a message that has told of all its failures."""
    return replace(alert, untold=0, told_at_ns=now_ns, is_told=alert.is_failing)


def after_success(alert: Alert, *, is_told: bool) -> Alert:
    """
    Return the alert after a success.

    Args:
        alert: The alert before it.
        is_told: Whether a message tells of the recovery, and so of all failures before it.
    """
    return replace(alert, is_failing=False, is_told=False, untold=0 if is_told else alert.untold)


def is_over(alert: Alert, *, now_ns: int, throttle_ns: int) -> bool:
    """Return whether nothing of the alert is needed any more."""
    is_throttled = not may_tell(alert, now_ns=now_ns, throttle_ns=throttle_ns)
    return not (alert.is_failing or alert.untold or is_throttled)


def is_batch_due(*, first_ns: int, now_ns: int, is_complete: bool, is_later: bool) -> bool:
    """
    Return whether the outcomes of a batch that are known are told now.

    Args:
        first_ns: When the first of them ended.
        now_ns: Now.
        is_complete: Whether the batch has ended.
        is_later: Whether a part of the batch was told before.
    """
    wait_ns = GATHER_LATER_NS if is_later else GATHER_NS
    return is_complete or not first_ns <= now_ns < first_ns + wait_ns


def next_try_ns(*, tries: int, now_ns: int) -> int:
    """Return when a delivery is tried again that has failed this many times, at least once."""
    return now_ns + min(_FIRST_PAUSE_NS << min(tries - 1, 20), _LONGEST_PAUSE_NS)


def is_given_up(*, created_ns: int, now_ns: int) -> bool:
    """Return whether a delivery that has failed now is not tried again."""
    return now_ns >= created_ns + KEEP_NS
