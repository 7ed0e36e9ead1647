"""What expressions are made from and yield; without Jinja, which takes its time to import and is needed only for expressions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from scheduler.errors import TminusError
from scheduler.instants import rfc3339
from scheduler.model.job import Job
from scheduler.model.occurrence import OccurrenceId

#: Characters that one text may render to.
LONGEST_TEXT = 16 << 20


class RenderError(TminusError):
    """A text that cannot be rendered with these values; the message never holds what a reference stands for."""


@dataclass(frozen=True, slots=True)
class TextFault:
    """What is wrong in a text, and at which of its characters, counted from 0."""

    offset: int
    length: int
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Instant:
    """A fire time in a job's zone; as text it is RFC 3339."""

    instant_ns: int
    zone: tzinfo

    def __str__(self) -> str:
        return rfc3339(self.instant_ns, self.zone)


def context(job: Job, occurrence: OccurrenceId, *, planned_at_ns: int, params: Mapping[str, Any]) -> dict[str, Any]:
    """
    The names that the expressions of a job may use.

    Args:
        job: Gives its name and its zone.
        occurrence: What is being armed.
        planned_at_ns: T, wall clock, nanoseconds since the Unix epoch.
        params: The job's, with what a `--set` has changed.
    """
    zone = ZoneInfo(job.zone)
    return {
        "params": params,
        "fire_time": Instant(occurrence.fire_time_ns, zone),
        "planned_at": Instant(planned_at_ns, zone),
        "occurrence": {"id": str(occurrence), "run": occurrence.run},
        "job": {"name": job.name},
    }


def as_text(value: Any) -> str:
    """A value of JSON within a text: maps, lists, true, false and null as JSON."""
    return str(value) if isinstance(value, str | float) or type(value) is int else json.dumps(value, ensure_ascii=False)
