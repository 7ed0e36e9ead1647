"""The checker: what has arrived at the server, against what the ledger says. It asks nothing of the scheduler's own code."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from tests.support.target import Arrival

#: How many requests may have arrived, by the outcome that the ledger has.
_ARRIVALS = {
    "succeeded": (1, 1),
    "failed": (0, 1),
    "timed_out": (0, 1),
    "unknown": (0, 1),
    "missed": (0, 0),
    "skipped": (0, 0),
    "cancelled": (0, 0),
    None: (0, 0),
}


def violations(occurrences: Sequence[Mapping[str, Any]], arrivals: Iterable[Arrival]) -> list[str]:
    """
    What must not be, a sentence each; empty where all is well.

    Args:
        occurrences: As `tminus history --json` prints them, after all is over.
        arrivals: As a server has seen them.
    """
    came = list(arrivals)
    counts = Counter(one.headers["x-tminus-occurrence"] for one in came)
    by_id = {one["id"]: one for one in occurrences}
    found = [f"{name} arrived and is not in the ledger" for name in counts if name not in by_id]
    for name, one in by_id.items():
        least, most = _ARRIVALS[one["outcome"]]
        if one["outcome"] == "failed" and one["http_status"]:
            least = 1
        if one["state"] != "finished":
            found.append(f"{name} has no outcome, it is {one['state']}")
        if not least <= counts[name] <= most:
            found.append(f"{name} {one['outcome']} and arrived {counts[name]} times")
        if one["outcome"] != "succeeded" and not one["reason"]:
            found.append(f"{name} {one['outcome']} without a reason")
    found += [
        f"{name} arrived before its T"
        for name, at_ns in ((one.headers["x-tminus-occurrence"], one.at_ns) for one in came)
        if name in by_id and at_ns < _ns(by_id[name]["planned_at"])
    ]
    return found


def gaps(occurrences: Iterable[Mapping[str, Any]], *, every_s: float) -> list[str]:
    """Fire times of jobs that are due so often, between their first row and their last, for which no row stands."""
    of_job: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in occurrences:
        of_job[one["job"]].append(one)
    return [
        f"after {one['id']} ({one['outcome']}, count {one['count']}) comes {follower['id']}"
        for rows in of_job.values()
        for one, follower in pairwise(sorted(rows, key=lambda row: str(row["fire_time"])))
        if _ns(follower["fire_time"]) - _ns(one["fire_time"]) != round(one["count"] * every_s * 1e9)
    ]


def _ns(text: str) -> int:
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return round(datetime.fromisoformat(f"{whole}+00:00").timestamp()) * 10**9 + int(fraction.ljust(9, "0"))
