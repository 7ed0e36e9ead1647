"""
The canonical text of a schedule, which the ledger stores: the same text means the same fire times.

The text is JSON with one object per part, sorted, each part once. It names no class of this program. It has
the contents of calendars, not their names: a calendar that has changed makes another schedule.
"""

import json
from itertools import pairwise
from typing import Any

from tminus.model.job import Cron, Every, Limited, Limits, Once, Part, Schedule
from tminus.policies.dst import AS_CRON, Dst, Gap, OverlapPass


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


def _to_json(part: Part) -> dict[str, Any]:
    match part:
        case Cron(text, zone, dst):
            rules = {} if dst == AS_CRON else {"dst": [dst.gap, dst.overlap]}
            return {"cron": text, "zone": zone, **rules}
        case Every(interval_ns):
            return {"every_ns": interval_ns}
        case Once(instant_ns):
            return {"at_ns": instant_ns}
        case Limited(times, limits):
            words = {"between": limits.windows, "except": limits.excepted, "zone": limits.zone}
            return {"of": _to_json(times), **words}


def _from_json(part: dict[str, Any]) -> Part:
    match sorted(part.items()):
        case [("cron", str(text)), ("zone", str(zone))]:
            return Cron(text, zone)
        case [("cron", str(text)), ("dst", [gap, overlap]), ("zone", str(zone))]:
            return Cron(text, zone, Dst(gap=Gap(gap), overlap=OverlapPass(overlap)))
        case [("every_ns", int(interval_ns))] if interval_ns > 0:
            return Every(interval_ns)
        case [("at_ns", int(instant_ns))]:
            return Once(instant_ns)
        case [("between", windows), ("except", excepted), ("of", dict(times)), ("zone", str(zone))]:
            limited = _from_json(times)
            if not isinstance(limited, Limited):
                return Limited(limited, Limits(zone, _ranges(windows), _ranges(excepted)))
    raise ValueError("not a part of a schedule")


def _ranges(pairs: Any) -> tuple[tuple[int, int], ...]:
    ranges = tuple((first, end) for first, end in pairs)
    edges = [edge for pair in ranges for edge in pair]
    if not all(type(edge) is int for edge in edges) or any(a >= b for a, b in pairwise(edges)):
        raise ValueError("not ascending ranges")
    return ranges
