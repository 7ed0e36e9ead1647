"""The checker: compares the arrivals at a server with the ledger. It uses no code of the scheduler."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from tests.support.target import Arrival

#: The least and the most arrivals of an occurrence, by its outcome; more only with as many attempts.
_ARRIVALS = {
    "succeeded": (1, 1),
    "failed": (0, 1),
    "timed_out": (0, 1),
    "unknown": (0, 1),
    "missed": (0, 0),
    "skipped": (0, 0),
    "cancelled": (0, 1),
    None: (0, 0),
}


def violations(
    occurrences: Sequence[Mapping[str, Any]], arrivals: Iterable[Arrival], *, retried: Collection[str] = ()
) -> list[str]:
    """
    Return a sentence for each violation; an empty list if there is none.

    Args:
        occurrences: All occurrences, as `tminus history --json` prints them, once all have ended.
        arrivals: All arrivals at the server.
        retried: The jobs that are tried again. If one is unknown, the attempt that was lost may have arrived.
    """
    came = list(arrivals)
    counts = Counter(one.headers["x-tminus-occurrence"] for one in came)
    by_id = {one["id"]: one for one in occurrences}
    found = [f"{name} arrived and is not in the ledger" for name in counts if name not in by_id]
    for name, one in by_id.items():
        least, most = _ARRIVALS[one["outcome"]]
        if one["outcome"] == "failed" and one["http_status"]:
            least = 1
        is_lost = one["outcome"] == "unknown" and one["job"] in retried
        most = max(most, one["attempts"] + is_lost)
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
    """
    Return a sentence for each gap between two rows of a job that is due every `every_s`: fire times without a
    row.
    """
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
