"""The values of expressions. This module does not import Jinja, which is slow and needed only to evaluate."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from tminus.errors import TminusError
from tminus.instants import rfc3339
from tminus.model.job import Job
from tminus.model.occurrence import OccurrenceId, RunCause

#: The most characters of a rendered text.
LONGEST_TEXT = 16 << 20


class RenderError(TminusError):
    """A text cannot be rendered with these values. The message never contains the value of a reference."""


@dataclass(frozen=True, slots=True)
class TextFault:
    """An error in a text, and its place in characters, counted from 0."""

    offset: int
    length: int
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Instant:
    """
    A fire time in a job's zone; as text it is RFC 3339.

    Args:
        instant_ns: Wall clock, nanoseconds since the Unix epoch.
        zone: The zone of the job.
        calendars: The time that each calendar excepts, as in `model.job.Limits`.
    """

    instant_ns: int
    zone: tzinfo
    calendars: Mapping[str, Sequence[tuple[int, int]]]

    def __str__(self) -> str:
        return rfc3339(self.instant_ns, self.zone)


def context(
    job: Job,
    occurrence: OccurrenceId,
    *,
    planned_at_ns: int,
    params: Mapping[str, Any],
    attempt: int = 1,
    cause: RunCause | None = None,
) -> dict[str, Any]:
    """
    Return the names that the expressions of a job may use.

    Args:
        job: Gives its name, its zone and its calendars.
        occurrence: The id of the occurrence.
        planned_at_ns: T, wall clock, nanoseconds since the Unix epoch.
        params: The job's parameters, as `--set` has changed them.
        attempt: The number of the attempt; 1 for the first one.
        cause: The occurrence whose chain has started this one; its names are null without one.
    """
    zone = ZoneInfo(job.zone)
    return {
        "params": params,
        "fire_time": Instant(occurrence.fire_time_ns, zone, job.calendars),
        "planned_at": Instant(planned_at_ns, zone, job.calendars),
        "occurrence": {"id": str(occurrence), "run": occurrence.run, "attempt": attempt},
        "job": {"name": job.name},
        "cause": {
            "job": cause and cause.id.job,
            "id": cause and str(cause.id),
            "outcome": cause and cause.outcome,
            "reason": cause and cause.reason,
        },
    }


def as_text(value: Any) -> str:
    """Return a JSON value as a part of a text: maps, lists, true, false and null as JSON."""
    return (
        str(value)
        if isinstance(value, str | float) or type(value) is int
        else json.dumps(value, ensure_ascii=False)
    )
