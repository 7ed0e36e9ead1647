"""Many jobs, a long history, a long stop, many faults: what commands and a start take, in CPU and in wall time."""

import contextlib
import os
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bench.figures import MS, median
from bench.machine import ROOT
from bench.memory import family
from bench.table import Table, Verdict, at_most, none_of
from bench.tminus_run import Daemon, DaemonFailed, daemon
from bench.torture.judge import Evidence, cover
from bench.waiting import SECOND, eventually
from scheduler.ledger.engine import open_ledger
from scheduler.ledger.tables import instances, occurrences, schedules

MINUTE, DAY = 60 * SECOND, 86_400 * SECOND
#: Nobody listens there.
_URL = "http://127.0.0.1:9/jobs"
_BATCH = 100
#: A million rows are twelve weeks then, which a ledger keeps.
_HISTORY_PERIOD = 12 * MINUTE
#: From ready until what is late has been claimed.
_CLAIM_S = 10.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many jobs one file has, occurrences a ledger, faulty jobs a line."""

    jobs: int = 20_000
    rows: int = 1_000_000
    faulty: int = 1000


FULL, QUICK = Sizes(), Sizes(jobs=500, rows=10_000, faulty=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """
    Attributes:
        cpu_s: User and system time.
        most_s: What it may take: of CPU time if `judges_cpu`, otherwise of wall time.
    """

    what: str
    cpu_s: float
    wall_s: float
    most_s: float
    judges_cpu: bool = False

    def verdict(self) -> Verdict:
        """Whether it took no longer."""
        kind, value = ("CPU", self.cpu_s) if self.judges_cpu else ("wall", self.wall_s)
        return at_most(f"{self.what}: {kind}", value, self.most_s, unit=" s")


def measure(sizes: Sizes, *, repeat: int) -> Table:
    """Each part with a daemon of its own; of commands the medians of so many."""
    table = Table(
        name="large",
        title="Many jobs, long history, long stop, many faults",
        explained=[f"Seconds. Commands: medians of {repeat}, from their start to their end. The CPU time is user and system."],
        header=("", "CPU s", "wall s", "may take", "of"),
    )
    for part in (_many_jobs, _long_history, _shipped_file, _stopped_for_a_day, _many_faults):
        try:
            for found in part(sizes, repeat):
                table.verdicts.append(found.verdict() if isinstance(found, Cost) else found)
                if isinstance(found, Cost):
                    table.rows.append(_row(found))
                    table.raw.append(asdict(found))
                    print(f"  {found.what:45} CPU {found.cpu_s:.2f} s, wall {found.wall_s:.2f} s", flush=True)
        except DaemonFailed as error:
            table.verdicts.append(Verdict(False, f"{part.__name__.strip('_').replace('_', ' ')}: {error}"))
    return table


Part = Callable[[Sizes, int], Iterator[Cost | Verdict]]


def _many_jobs(sizes: Sizes, repeat: int) -> Iterator[Cost | Verdict]:
    what = f"{sizes.jobs} jobs in a file"
    with daemon(_jobs(sizes.jobs, lambda number: f'"{number % 60} {number // 60 % 24} * * *"')) as one:
        for word in ("validate", "next"):
            yield _command(one, word, repeat=repeat, what=what, most_s=4, judges_cpu=True)
        yield _start(one, what=what, most_s=8)


def _long_history(sizes: Sizes, repeat: int) -> Iterator[Cost | Verdict]:
    with daemon(_jobs(_BATCH, lambda _: "{every: 12m}")) as one:
        _fill(one.ledger, sizes.rows)
        one.start()
        for word in ("history", "status", "skew"):
            yield _command(one, word, repeat=repeat, what=f"{sizes.rows} occurrences in the ledger", most_s=0.4)


def _shipped_file(_: Sizes, repeat: int) -> Iterator[Cost | Verdict]:
    with daemon((ROOT / "jobs.yaml").read_text()) as one:
        one.start()
        for word in ("next", "status"):
            yield _command(one, word, repeat=repeat, what="the shipped jobs.yaml", most_s=0.4)


def _stopped_for_a_day(_: Sizes, __: int) -> Iterator[Cost | Verdict]:
    """One half of the jobs may still run, and are coalesced; the other half is too late."""
    jobs = _jobs(_BATCH, lambda number: "{every: 1m}", lambda number: "2d" if number % 2 else "30s")
    with daemon(jobs) as one:
        one.start()
        one.stop()
        since_ns = _set_back(one.ledger, DAY)
        yield _start(one, what=f"{_BATCH} jobs each minute, stopped for a day", most_s=10)
        until_ns = time.time_ns()
        # What is late and runs is claimed after the daemon is ready.
        due, missing, wrong = _covered(one, since_ns, until_ns)
        yield none_of("due instants without a row", missing, due)
        yield none_of("due instants that two rows cover, or rows of instants that are not due", wrong, due)


def _many_faults(sizes: Sizes, repeat: int) -> Iterator[Cost | Verdict]:
    jobs = ", ".join(f"job_{number}: {{schedule: {{every: 0s}}, http: 'ftp://nowhere'}}" for number in range(sizes.faulty))
    with daemon(f"version: 1\njobs: {{{jobs}}}\n") as one:
        yield _command(one, "validate", repeat=repeat, what=f"{sizes.faulty} faulty jobs on a line", most_s=5, status=2)


def _jobs(count: int, schedule: Callable[[int], str], grace: Callable[[int], str] = lambda _: "30s") -> str:
    """A jobs file as people write it."""
    lines = ["version: 1", "timezone: Europe/Berlin", "jobs:"]
    for number in range(count):
        lines += [
            f"  job_{number}:",
            f"    schedule: {schedule(number)}",
            f"    misfire_grace_time: {grace(number)}",
            f"    http: {{url: {_URL}/{number}, method: POST, json: {{run: '{{{{ occurrence.id }}}}'}}}}",
        ]
    return "\n".join([*lines, ""])


def _command(one: Daemon, word: str, *, repeat: int, what: str, most_s: float, judges_cpu: bool = False, status: int = 0) -> Cost:
    cpu: list[float] = []
    wall: list[float] = []
    for _ in range(repeat):
        cpu_before, begun = _children_cpu_s(), time.monotonic()
        done = one.run(word)
        wall.append(time.monotonic() - begun)
        cpu.append(_children_cpu_s() - cpu_before)
        if done.returncode != status:
            raise DaemonFailed(f"tminus {word} ended with {done.returncode}: {done.stderr[-500:]}")
    return Cost(what=f"{what}: {word}", cpu_s=median(cpu), wall_s=median(wall), most_s=most_s, judges_cpu=judges_cpu)


def _start(one: Daemon, *, what: str, most_s: float) -> Cost:
    begun = time.monotonic()
    one.start()
    wall_s = time.monotonic() - begun
    return Cost(what=f"{what}: daemon ready", cpu_s=sum(map(_cpu_s, family(one.pid))), wall_s=wall_s, most_s=most_s)


def _row(cost: Cost) -> tuple[str, ...]:
    return cost.what, f"{cost.cpu_s:.2f}", f"{cost.wall_s:.2f}", f"{cost.most_s:g}", "CPU" if cost.judges_cpu else "wall"


def _children_cpu_s() -> float:
    """Of all commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _cpu_s(pid: int) -> float:
    """Of a process that runs, and of its children that have ended; /proc/PID/stat in proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _fill(url: str, rows: int) -> None:
    """Write so many occurrences: batches that have succeeded, the last one a moment ago."""
    numbers = sa.select(sa.literal(0).label("n")).cte("numbers", recursive=True)
    numbers = numbers.union_all(sa.select(numbers.c.n + 1).where(numbers.c.n < rows - 1))
    first_ns = time.time_ns() // _HISTORY_PERIOD * _HISTORY_PERIOD - (rows // _BATCH - 1) * _HISTORY_PERIOD
    at_ns = first_ns + numbers.c.n // _BATCH * _HISTORY_PERIOD
    values: dict[str, Any] = {
        "job": sa.literal("job_") + sa.cast(numbers.c.n % _BATCH, sa.Text),
        "fire_time_ns": at_ns,
        "run": sa.literal(0),
        "planned_at_ns": at_ns,
        "origin": sa.literal("schedule"),
        "state": sa.literal("finished"),
        "params": sa.literal("{}"),
        "config_version": sa.literal("0123456789ab"),
        "outcome": sa.literal("succeeded"),
        "started_at_ns": at_ns + MS,
        "finished_at_ns": at_ns + 100 * MS,
        "duration_ns": sa.literal(99 * MS),
        "armed": sa.literal(True),
        "attempts": sa.literal(1),
        "http_status": sa.literal(200),
    }
    with contextlib.closing(open_ledger(url)) as ledger, ledger.write() as connection:
        connection.execute(occurrences.insert().from_select(list(values), sa.select(*values.values())))


def _set_back(url: str, by_ns: int) -> int:
    """As if the last daemon had run so much earlier; returns up to when it has decided all."""
    with contextlib.closing(open_ledger(url)) as ledger, ledger.write() as connection:
        connection.execute(occurrences.delete())
        connection.execute(instances.update().values(decided_until_ns=None))
        earlier = schedules.c.since_ns - by_ns
        connection.execute(schedules.update().values(since_ns=earlier, decided_until_ns=earlier))
        return int(connection.execute(sa.select(sa.func.max(schedules.c.decided_until_ns))).scalar_one())


def _covered(one: Daemon, since_ns: int, until_ns: int) -> tuple[int, list[str], list[str]]:
    """How many instants were due; which have no row; which have two."""
    periods = {f"job_{number}": MINUTE for number in range(_BATCH)}
    found: list[tuple[int, list[str], list[str]]] = []

    def look() -> bool:
        rows = one.ask("history", "--limit", "1000000")
        evidence = Evidence(rows=rows, arrivals=(), period_ns=periods, quick=(), since_ns=since_ns, until_ns=until_ns)
        found.append(cover(evidence))
        return not found[-1][1]

    eventually(look, timeout_s=_CLAIM_S)
    return found[-1]
