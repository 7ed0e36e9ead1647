"""
A daemon is killed, and starts again an hour later, with 500 jobs of all policies.

Nobody waits for that hour: the first daemon has a wall clock that is an hour behind. What becomes of each
fire time is compared with `bench.clock.policies`.
"""

import json
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.clock.policies import MINUTE, Policies, calendar, decide, describe, fire_times, some
from bench.clock.wall import Wall, build
from bench.clock.witness import Arrival, Witness
from bench.table import Table, Verdict, at_most, none_of
from bench.tminus_run import Daemon
from bench.torture.judge import instant_ns
from bench.waiting import SECOND, eventually, pause

JOBS = 500
HOUR = 60 * MINUTE
#: Limit for catch-ups at once, and for the requests of one batch.
MOST_CONNECTIONS = 20
#: The daemon is killed this long before a T: what is due then is claimed, and not committed.
_BEFORE_T_NS = SECOND
#: Time to collect and claim what is due at that T.
_CLAIMED_NS = 8 * SECOND
#: Time until each response, so that requests of catch-ups overlap.
_TAKES_S = 0.2
_SETTLED_S = 600.0

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    What a judge needs.

    Attributes:
        killed_ns: When the first daemon was killed, by its clock.
        started_ns: When the second one was started.
        ready_ns: When it was ready: it has decided all in between.
    """

    jobs: Mapping[str, Policies]
    rows: Sequence[Row]
    arrivals: Sequence[Arrival]
    killed_ns: int
    started_ns: int
    ready_ns: int

    @property
    def due(self) -> dict[str, list[int]]:
        """
        The fire times of each job until the second daemon was ready, as minutes since 1970. That one may have
        decided just after a minute that has begun since its start.
        """
        first, last = self.killed_ns // MINUTE + 1, self.ready_ns // MINUTE
        return {name: list(fire_times(job, first, last)) for name, job in self.jobs.items()}


def measure(seed: int, count: int = JOBS) -> list[Verdict]:
    """Run both daemons, print what became of the fire times by policy, and judge it."""
    evidence, at_once = run(seed, count)
    kinds: defaultdict[str, Counter[str]] = defaultdict(Counter)
    due = evidence.due
    for row in evidence.rows:
        if row["job"] in due and row["fire_time_ns"] // MINUTE in due[row["job"]]:
            kinds[evidence.jobs[row["job"]].name][_kind(row)] += row["count"]
            kinds[evidence.jobs[row["job"]].name]["rows"] += 1
    header = ("catch-up", "late", "skipped", "missed", "other", "rows")
    table = Table(
        name="after-an-hour",
        title=f"{count} jobs after an hour without a daemon",
        explained=["Fire times by what became of them, and rows."],
        header=("policies", *header),
        rows=[[name, *(str(kinds[name][one]) for one in header)] for name in sorted(kinds)],
    )
    catch_ups = {str(row["id"]) for row in evidence.rows if _kind(row) == "catch-up"}
    arrived = [one.at_ns for one in evidence.arrivals if one.occurrence in catch_ups]
    ready_s = (evidence.ready_ns - evidence.started_ns) / SECOND
    last_s = (max(arrived, default=evidence.ready_ns) - evidence.ready_ns) / SECOND
    print(
        f"{sum(map(len, due.values()))} fire times passed; ready {ready_s:.1f} s after the start, the last "
        f"catch-up {last_s:.0f} s later; at most {at_once} requests at once\n\n{table.text()}",
        flush=True,
    )
    return [
        *judge(evidence),
        at_most("catch-ups at once", _most_at_once(arrived), MOST_CONNECTIONS),
    ]


def run(seed: int, count: int, *, also: Mapping[str, object] | None = None) -> tuple[Evidence, int]:
    """
    Run both daemons. Return the evidence, and the most requests at once under the second one.

    Args:
        also: Further keys of `daemon:`.
    """
    jobs = some(seed, count, now_ns=time.time_ns())
    with tempfile.TemporaryDirectory(prefix="tminus-hour-") as name:
        folder = Path(name)
        wall = Wall(build(folder), folder / "clock")
        witness = Witness(wall, takes_s=_TAKES_S)
        one = Daemon(folder, _jobs_file(jobs, witness.url, also or {}), **wall.environment)
        with witness.serve():
            try:
                wall.step(-HOUR - MINUTE)
                one.start()
                killed_ns = (wall.now_ns() // MINUTE + 1) * MINUTE - _BEFORE_T_NS
                if killed_ns - wall.now_ns() < _CLAIMED_NS:
                    killed_ns += MINUTE
                wall.show(killed_ns - _CLAIMED_NS)
                wall.wait_until(killed_ns)
                killed_ns = wall.now_ns()
                one.kill()
                wall.step(-wall.offset_ns)
                pause(1)
                witness.most_at_once = 0
                started_ns = time.time_ns()
                one.start()
                ready_ns = time.time_ns()
                evidence = Evidence(
                    jobs=jobs,
                    rows=(),
                    arrivals=(),
                    killed_ns=killed_ns,
                    started_ns=started_ns,
                    ready_ns=ready_ns,
                )
                rows = (
                    eventually(lambda: _settled(one, evidence), timeout_s=_SETTLED_S, every_s=1) or one.rows()
                )
            finally:
                one.kill()
    rows = [{**row, "id": _id(row)} for row in rows]
    return (
        Evidence(
            jobs=jobs,
            rows=rows,
            arrivals=list(witness.arrivals),
            killed_ns=killed_ns,
            started_ns=started_ns,
            ready_ns=ready_ns,
        ),
        witness.most_at_once,
    )


def judge(evidence: Evidence) -> list[Verdict]:
    """Judge each fire time that passed while no daemon ran."""
    due = evidence.due
    by_job: defaultdict[str, list[Row]] = defaultdict(list)
    for row in evidence.rows:
        by_job[row["job"]].append(row)
    times = Counter(one.occurrence for one in evidence.arrivals)
    many = sum(map(len, due.values()))
    return [
        none_of("fire times that no row, or more than one row, stands for", _uncovered(due, by_job), many),
        none_of(
            "jobs whose fire times ended otherwise than their policies say",
            _wrong(evidence, due, by_job),
            len(due),
        ),
        none_of(
            "occurrences that started more than once", (one for one in times if times[one] > 1), len(times)
        ),
        none_of("requests before their fire time", _early(evidence), len(evidence.arrivals)),
        none_of("jobs whose fire times did not run in their order", _disordered(due, by_job), len(due)),
    ]


def _jobs_file(jobs: Mapping[str, Policies], url: str, also: Mapping[str, object]) -> str:
    return json.dumps(
        {
            "version": 1,
            "timezone": "UTC",
            "daemon": {"max_connections": MOST_CONNECTIONS, **also},
            "calendars": calendar(jobs),
            "jobs": {name: job.as_job(url) for name, job in jobs.items()},
        }
    )


def _settled(one: Daemon, evidence: Evidence) -> list[dict[str, Any]] | None:
    """Return the rows once each fire time that passed has a row with an outcome."""
    rows, due = one.rows(), evidence.due
    found: Counter[str] = Counter()
    for row in rows:
        if row["fire_time_ns"] // MINUTE in due.get(row["job"], ()):
            if not row["outcome"]:
                return None
            found[row["job"]] += row["count"]
    return rows if all(found[name] >= len(due[name]) for name in due) else None


def _uncovered(due: Mapping[str, Sequence[int]], by_job: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    for name, minutes in due.items():
        covered = Counter(minute for row in by_job[name] for minute in _stands_for(row, minutes))
        yield from (f"{name} {minute}: {covered[minute]}" for minute in minutes if covered[minute] != 1)


def _stands_for(row: Row, minutes: Sequence[int]) -> list[int]:
    last_ns = row["covers_until_ns"] or row["fire_time_ns"]
    return [one for one in minutes if row["fire_time_ns"] <= one * MINUTE <= last_ns]


def _wrong(
    evidence: Evidence, due: Mapping[str, Sequence[int]], by_job: Mapping[str, Sequence[Row]]
) -> Iterator[str]:
    for name, minutes in due.items():
        job, rows = evidence.jobs[name], by_job[name]
        found = {minute: row for row in rows for minute in _stands_for(row, minutes)}
        known = {
            row["fire_time_ns"] // MINUTE: row["planned_at_ns"]
            for row in rows
            if row["count"] == 1 and _kind(row) != "catch-up"
        }
        # The planned start of one that was caught up, or has no row of its own, is not in the ledger: early
        # as can be, or late. Nor is it known when the daemon has decided.
        either = [
            {minute: minute * MINUTE + late_ns for minute in minutes} for late_ns in (0, job.jitter * SECOND)
        ]
        latest_ns = evidence.ready_ns + SECOND
        instants = range(evidence.started_ns - job.jitter * SECOND, latest_ns + SECOND // 4, SECOND // 4)
        seen = {minute: _outcome(found.get(minute)) for minute in minutes}
        expected = [
            _expected(job, minutes, planned | known, now_ns) for planned in either for now_ns in instants
        ]
        if seen not in expected:
            nearest = min(expected, key=lambda one: sum(seen[minute] != one[minute] for minute in minutes))
            differ = [
                f"{minute} {seen[minute]}, not {nearest[minute]}"
                for minute in minutes
                if seen[minute] != nearest[minute]
            ]
            yield f"{name} ({describe(job)}): {'; '.join(differ[:3])}"


def _expected(
    job: Policies, minutes: Sequence[int], planned: Mapping[int, int], now_ns: int
) -> dict[int, str]:
    # One that is planned for later, by its jitter, is not overdue: it runs on time.
    overdue = [minute for minute in minutes if planned[minute] <= now_ns]
    decision = decide(job, overdue, planned_ns=planned, now_ns=now_ns)
    how = dict.fromkeys(minutes, "runs") | dict.fromkeys(decision.missed, "missed")
    return how | dict.fromkeys(decision.skipped, "skipped")


def _outcome(row: Row | None) -> str:
    if row is None:
        return "nothing"
    # It was let run: afterwards a busy machine, or another occurrence of its job, has ended it.
    is_overtaken = str(row["reason"]).startswith(("overlap: ", "released later than"))
    return "runs" if row["outcome"] == "succeeded" or is_overtaken else str(row["outcome"])


def _kind(row: Row) -> str:
    if row["outcome"] == "succeeded":
        return "catch-up" if row["origin"] == "catch_up" else "late"
    return str(row["outcome"]) if row["outcome"] in ("skipped", "missed") else "other"


def _early(evidence: Evidence) -> list[str]:
    return [
        one.occurrence
        for one in evidence.arrivals
        if one.at_ns < instant_ns(one.occurrence.partition("@")[2])
    ]


def _disordered(due: Mapping[str, Sequence[int]], by_job: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    for name, minutes in due.items():
        rows = sorted(by_job[name], key=lambda row: row["fire_time_ns"])
        starts = [
            row["planned_at_ns"]
            for row in rows
            if row["started_at_ns"]
            and row["origin"] == "catch_up"
            and row["fire_time_ns"] // MINUTE in minutes
        ]
        if any(later < earlier for earlier, later in pairwise(starts)):
            yield name


def _most_at_once(arrived: Sequence[int]) -> int:
    """Return the most requests that waited for their responses at one moment."""
    takes_ns = round(_TAKES_S * SECOND)
    return max((sum(at_ns <= one < at_ns + takes_ns for one in arrived) for at_ns in arrived), default=0)


def _id(row: Row) -> str:
    seconds = row["fire_time_ns"] // SECOND
    return f"{row['job']}@{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(seconds))}"
