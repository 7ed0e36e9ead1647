"""
The canonical text of a schedule, which the ledger stores: the same text means the same fire times.

The text is JSON with one object per part, sorted, each part once. It names no class of this program.
"""

import json
from typing import Any

from scheduler.model.job import Cron, Every, Once, Schedule


def to_text(schedule: Schedule) -> str:
    """Return the canonical text. Two schedules with the same parts have the same text, in any order."""
    return json.dumps(sorted(map(_to_json, set(schedule)), key=json.dumps))


def from_text(text: str) -> Schedule:
    """
    Return the schedule with this canonical text.

    Raises:
        ValueError: this is not a canonical text, or a later version wrote it.
    """
    try:
        return tuple(map(_from_json, json.loads(text)))
    except (TypeError, ValueError, AttributeError, RecursionError):
        raise ValueError(f"{text[:60]!r} is not the canonical text of a schedule") from None


def _to_json(part: Cron | Every | Once) -> dict[str, Any]:
    match part:
        case Cron(text, zone):
            return {"cron": text, "zone": zone}
        case Every(interval_ns):
            return {"every_ns": interval_ns}
        case Once(instant_ns):
            return {"at_ns": instant_ns}


def _from_json(part: dict[str, Any]) -> Cron | Every | Once:
    match sorted(part.items()):
        case [("cron", str(text)), ("zone", str(zone))]:
            return Cron(text, zone)
        case [("every_ns", int(interval_ns))] if interval_ns > 0:
            return Every(interval_ns)
        case [("at_ns", int(instant_ns))]:
            return Once(instant_ns)
    raise ValueError("not a part of a schedule")
