"""
The judge of a fault round. It knows the schedule, the arrivals at the witnesses, what was accepted, and the
output of `history`.

It uses no code of the scheduler.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bench.torture.jobs import FOLLOWS, RETRIED
from bench.torture.users import RunNow, Submitted
from bench.torture.witness import Arrival
from bench.waiting import SECOND

Row = Mapping[str, Any]

#: Allowed number of arrivals of a run that was not retried, by its outcome.
_SEEN = {
    "succeeded": (1, 1),
    "failed": (0, 1),
    "timed_out": (0, 1),
    "unknown": (0, 1),
    "missed": (0, 0),
    "skipped": (0, 0),
    "cancelled": (0, 0),
    None: (0, 1),
}
#: The same for a link of a chain, by its state.
_LINK_SEEN = {"succeeded": (1, 1), "passed_over": (0, 0)}
_MOST_ATTEMPTS = 3
_NOT_SENT = "not sent"
_WITHDRAWN = 3
_HEALTHY_S = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    The evidence of a round. Instants are nanoseconds of the wall clock.

    Attributes:
        rows: Output of `tminus history --json` after the quiet period.
        period_ns: Period of each job with a schedule.
        quick: Jobs that succeed without faults.
        since_ns: When the first daemon was ready.
        until_ns: The end of the quiet period. Everything due before has an outcome.
    """

    rows: Sequence[Row]
    arrivals: Sequence[Arrival]
    period_ns: Mapping[str, int]
    quick: Iterable[str]
    since_ns: int
    until_ns: int
    run_nows: Sequence[RunNow] = ()
    submitted: Sequence[Submitted] = ()


#: A kind of violation: a sentence for each case, and the number of cases that were checked.
Violations = tuple[str, list[str], int]


def judge(evidence: Evidence) -> list[Violations]:
    """Return each kind of violation with its cases, including kinds without cases."""
    by_id = {row["id"]: row for row in evidence.rows}
    arrivals = evidence.arrivals
    due, uncovered, twice = cover(evidence)
    return [
        ("due fire times without a row", uncovered, due),
        ("due fire times covered twice, or rows of fire times that are not due", twice, due),
        ("rows of one occurrence", _repeated(row["id"] for row in evidence.rows), len(by_id)),
        ("rows without an outcome after the quiet period", list(_open(evidence)), len(by_id)),
        (
            "arrivals of an occurrence that is not in the ledger",
            list(_silent(by_id, arrivals)),
            len(arrivals),
        ),
        ("arrivals of one attempt more than once", list(_doubled(by_id, arrivals)), len(arrivals)),
        ("arrivals before their T", list(_early(by_id, arrivals)), len(arrivals)),
        ("outcomes that the witnesses contradict", list(_contradicted(by_id, arrivals)), len(by_id)),
        ("links that the witnesses contradict", list(_broken_links(by_id, arrivals)), len(by_id)),
        ("outcomes other than succeeded without a reason", list(_unexplained(by_id)), len(by_id)),
        ("run-nows lost or doubled", list(_lost_run_nows(evidence)), len(evidence.run_nows)),
        ("accepted submits lost", list(_lost_submits(by_id, evidence)), len(evidence.submitted)),
        (
            "jobs that had not recovered by the end of the quiet period",
            list(_ill(evidence)),
            len(list(evidence.quick)),
        ),
    ]


def outcomes(rows: Iterable[Row]) -> dict[str, int]:
    """Count fire times and runs by outcome."""
    found: Counter[str] = Counter()
    for row in rows:
        found[row["outcome"] or row["state"]] += row["count"]
    return dict(found.most_common())


def instant_ns(text: str) -> int:
    """Convert an instant of the ledger to nanoseconds."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return round(datetime.fromisoformat(f"{whole}+00:00").timestamp()) * SECOND + int(fraction.ljust(9, "0"))


def _at(instant: int) -> str:
    return datetime.fromtimestamp(instant // SECOND, UTC).strftime("%H:%M:%SZ")


def cover(evidence: Evidence) -> tuple[int, list[str], list[str]]:
    """
    Return how many fire times were due, which no row covers, and which are covered twice or were never due.
    """
    covered: defaultdict[str, Counter[int]] = defaultdict(Counter)
    wrong: list[str] = []
    for row in evidence.rows:
        if row["origin"] in ("schedule", "catch_up") and row["run"] == 0:
            period = evidence.period_ns.get(row["job"])
            first = instant_ns(row["fire_time"])
            if period is None or first % period:
                wrong.append(f"{row['id']} {row['outcome']}: not due then")
            else:
                covered[row["job"]].update(first + index * period for index in range(row["count"]))
    due, missing = 0, []
    for job, period in evidence.period_ns.items():
        instants = range(evidence.since_ns // period * period + period, evidence.until_ns + 1, period)
        due += len(instants)
        missing += [
            f"{job} {span}" for span in _spans([at for at in instants if not covered[job][at]], period)
        ]
        wrong += [
            f"{job} {span}"
            for span in _spans(sorted(at for at, times in covered[job].items() if times > 1), period)
        ]
    return due, missing, wrong


def _spans(instants: Sequence[int], period: int) -> Iterator[str]:
    """Describe instants. Consecutive instants become one span."""
    start = 0
    for index, instant in enumerate(instants):
        if index + 1 == len(instants) or instants[index + 1] - instant != period:
            count = index + 1 - start
            yield _at(instants[start]) + (f" to {_at(instant)} ({count})" if count > 1 else "")
            start = index + 1


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]


def _open(evidence: Evidence) -> Iterator[str]:
    for row in evidence.rows:
        if instant_ns(row["planned_at"]) > evidence.until_ns:
            continue
        if row["state"] != "finished":
            yield f"{row['id']} is {row['state']}"
        for link in row["chain"]:
            if row["state"] == "finished" and link["state"] in ("waiting", "running"):
                yield f"{row['id']}, link {link['link']} is {link['state']}"


def _silent(by_id: Mapping[str, Row], arrivals: Sequence[Arrival]) -> Iterator[str]:
    for name in dict.fromkeys(one.occurrence for one in arrivals):
        if name not in by_id:
            yield f"{name or 'an arrival without an occurrence'}"


def _doubled(by_id: Mapping[str, Row], arrivals: Sequence[Arrival]) -> Iterator[str]:
    """
    Find duplicates. An attempt has at most one arrival, a background run at most one per attempt, and a cause
    starts one follower.
    """
    for (what, name, part), times in Counter(
        (one.what, one.occurrence, one.part) for one in arrivals
    ).items():
        row = by_id.get(name)
        allowed = _most_attempts(row) if row and what != "link" else 1
        if times > allowed:
            yield (
                f"{name} {what} {part} {times} times, {row['outcome'] if row else 'no row'}, attempts "
                f"{allowed}"
            )
    causes = {(one.cause, one.occurrence) for one in arrivals if one.cause}
    for cause in _repeated(cause for cause, _ in causes):
        yield f"{cause} has started more than one follower"


def _most_attempts(row: Row) -> int:
    """Return how many attempts a run may have had. The last one has no row if its result is unknown."""
    attempts = row["attempts"] or 0
    if row["job"].startswith(RETRIED) and row["outcome"] in ("unknown", None):
        return int(attempts) + 1
    return max(attempts, 1)


def _early(by_id: Mapping[str, Row], arrivals: Sequence[Arrival]) -> Iterator[str]:
    for one in arrivals:
        if one.what != "link" and one.occurrence in by_id:
            ahead_ns = instant_ns(by_id[one.occurrence]["planned_at"]) - one.at_ns
            if ahead_ns > 0:
                yield f"{one.occurrence} {ahead_ns / SECOND:.6f} s before its T"


def _contradicted(by_id: Mapping[str, Row], arrivals: Sequence[Arrival]) -> Iterator[str]:
    seen = Counter(one.occurrence for one in arrivals if one.what != "link")
    for name, row in by_id.items():
        least, most = _SEEN[row["outcome"]]
        if row["origin"] == "background":
            least, most = (1 if row["outcome"] == "succeeded" else 0), _most_attempts(row)
        elif row["job"].startswith(RETRIED) and row["attempts"]:
            least, most = 0, _most_attempts(row)
        elif row["outcome"] == "failed" and row["http_status"]:
            least = 1
        elif row["outcome"] == "failed" and _NOT_SENT in (row["reason"] or "").partition(":")[0]:
            most = 0
        if not least <= seen[name] <= most:
            yield f"{name} {row['outcome']} and seen {seen[name]} times: {row['reason']}"


def _broken_links(by_id: Mapping[str, Row], arrivals: Sequence[Arrival]) -> Iterator[str]:
    seen: Counter[str] = Counter(one.occurrence for one in arrivals if one.what == "link")
    started = 0
    for name, row in by_id.items():
        least, most = 0, 0
        for link in row["chain"]:
            if link["link"].partition("run ")[1]:
                started += link["state"] == "succeeded"
            else:
                bounds = _LINK_SEEN.get(link["state"], (0, 1))
                least, most = least + bounds[0], most + bounds[1]
        if not least <= seen[name] <= most:
            states = ", ".join(f"{link['link']}: {link['state']}" for link in row["chain"])
            yield f"{name}: links seen {seen[name]} times, from {least} to {most} expected: {states}"
    followers = sum(row["job"] == FOLLOWS and row["origin"] == "chain" for row in by_id.values())
    if followers != started:
        yield f"{started} links have started a job, and it has {followers} rows"


def _unexplained(by_id: Mapping[str, Row]) -> Iterator[str]:
    # A row coalesced into another one is not followed. If the daemon was killed meanwhile, the other one is
    # missed.
    for name, row in by_id.items():
        if row["outcome"] not in ("succeeded", None) and not row["reason"]:
            yield f"{name} {row['outcome']} without a reason"


def _lost_run_nows(evidence: Evidence) -> Iterator[str]:
    rows: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in evidence.rows:
        if tag := row["params"].get("tag"):
            rows[tag, row["job"]].append(row)
    for one in evidence.run_nows:
        for job in one.jobs:
            found = [row["outcome"] for row in rows[one.tag, job]]
            if len(found) > 1:
                yield f"{job} {one.tag} (exit {one.status}) has {len(found)} rows: {found}"
            if one.is_acknowledged and not found:
                yield f"{job} {one.tag} (exit {one.status}) has no row"
            if one.status == _WITHDRAWN and found and not one.is_acknowledged:
                yield f"{job} {one.tag} (exit {one.status}) is {found}"


def _lost_submits(by_id: Mapping[str, Row], evidence: Evidence) -> Iterator[str]:
    seen = Counter(one.occurrence for one in evidence.arrivals if one.what == "background")
    for one in evidence.submitted:
        row = by_id.get(one.occurrence)
        outcome, attempts = (row["outcome"], row["attempts"]) if row else ("not in the ledger", 0)
        is_well = (outcome == "succeeded" and not one.is_poison) or (
            outcome == "unknown" and attempts >= _MOST_ATTEMPTS
        )
        if not is_well:
            yield (
                f"{one.number} {one.occurrence} {outcome}, attempts {attempts}, seen "
                f"{seen[one.occurrence]} times"
            )


def _ill(evidence: Evidence) -> Iterator[str]:
    begin = evidence.until_ns - _HEALTHY_S * SECOND
    last = [row for row in evidence.rows if begin < instant_ns(row["planned_at"]) <= evidence.until_ns]
    well = {row["job"] for row in last if row["outcome"] == "succeeded"}
    for job in sorted(set(evidence.quick) - well):
        found = Counter(f"{row['outcome']}: {row['reason']}" for row in last if row["job"] == job)
        yield f"{job}: {dict(found) or 'no row'}"
