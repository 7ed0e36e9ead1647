"""Pauses: a paused or suspended job starts nothing by its schedule."""

from dataclasses import dataclass
from enum import StrEnum

from tminus.errors import UsageError, shorten
from tminus.instants import SECOND, rfc3339

#: Characters of a reason.
LONGEST_REASON = 1_000
#: After this time, a pause by hand that has no end counts as forgotten by its operator.
FORGOTTEN_NS = 86_400 * SECOND


class PauseKind(StrEnum):
    """Who keeps a job from starting, and what ends that."""

    PAUSE = "pause"  #: an operator, until `resume`
    FAILURES = "pause_on_failure"  #: tminus, after failures in a row, until `resume`
    SUSPEND = "suspend"  #: `suspend: true` of a configuration, until another one is in force


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """
    A pause of a job that nobody has ended.

    Attributes:
        since_ns: When it was asked for, wall clock.
        until_ns: The first planned start that is not paused any more; None for no end.
        reason: As given; empty if none was.
        by: Who paused the job: `user@host`, `tminus`, or `configuration VERSION`.
    """

    since_ns: int
    until_ns: int | None
    reason: str
    by: str
    kind: PauseKind = PauseKind.PAUSE

    def covers(self, planned_at_ns: int) -> bool:
        """Return whether an occurrence that is planned then does not start."""
        return self.until_ns is None or planned_at_ns < self.until_ns

    @property
    def verb(self) -> str:
        """What was done to the job: `paused` or `suspended`."""
        return "suspended" if self.kind is PauseKind.SUSPEND else "paused"

    def __str__(self) -> str:
        since = rfc3339(self.since_ns // SECOND * SECOND)
        return f"{self.verb} by {self.by} since {since}" + (f": {self.reason}" if self.reason else "")


def check_reason(reason: str) -> None:
    """
    Check the reason that somebody gives for a pause.

    Raises:
        TypeError: it is not a str.
        UsageError: it is too long.
    """
    if not isinstance(reason, str):
        raise TypeError(f"a reason must be a str; got {shorten(repr(reason))}")
    if len(reason) > LONGEST_REASON:
        raise UsageError(f"the reason has more than {LONGEST_REASON} characters")


def is_forgotten(pause: Pause, now_ns: int) -> bool:
    """
    Return whether somebody should look at a pause. It must have no end, and either have begun long ago or
    be one that no operator asked for. A suspension never counts: it is meant to last.
    """
    if pause.until_ns is not None or pause.kind is PauseKind.SUSPEND:
        return False
    return pause.kind is PauseKind.FAILURES or now_ns - pause.since_ns >= FORGOTTEN_NS
