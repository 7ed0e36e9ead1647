"""
What a schedule does not start: the fire times of paused and suspended jobs, and those that are skipped one by
one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tminus.policies.pause import Pause


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """
    What operators have paused and skipped, and what the configuration suspends.

    Attributes:
        pauses: The pause of each job that has one.
        suspensions: The suspension of each job that has one.
        skips: Job and fire time of each skip, with who asked for it, `user@host`.
    """

    pauses: Mapping[str, Pause] = field(default_factory=dict)
    suspensions: Mapping[str, Pause] = field(default_factory=dict)
    skips: Mapping[tuple[str, int], str] = field(default_factory=dict)

    def why(self, job: str, *, fire_time_ns: int, planned_at_ns: int) -> str | None:
        """Return why this occurrence of a schedule does not start; None if it may."""
        by, pause = self.skips.get((job, fire_time_ns)), self.pauses.get(job)
        if by is not None:
            return f"skipped by {by}"
        if job in self.suspensions:
            return str(self.suspensions[job])
        return str(pause) if pause and pause.covers(planned_at_ns) else None

    def as_of(self, now_ns: int) -> "Withheld":
        """Return the same, without the pauses that are over."""
        return replace(self, pauses={job: one for job, one in self.pauses.items() if one.covers(now_ns)})


#: Nothing is paused, suspended or skipped.
NOTHING = Withheld()
