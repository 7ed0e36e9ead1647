"""
Many jobs, a long history, a long stop, a file with many faults: CPU and wall time of commands and of a start.
"""

import contextlib
import os
import resource
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Iterator
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
from tminus.daemon.batches.overdue_occurrences import scheduled
from tminus.jobsfile.load import load
from tminus.ledger.claims import claim
from tminus.ledger.engine import open_ledger
from tminus.ledger.instances import register
from tminus.ledger.tables import instances, occurrences, schedules

MINUTE, DAY = 60 * SECOND, 86_400 * SECOND
#: Nothing listens there.
_URL = "http://127.0.0.1:9/jobs"
_BATCH = 100
#: A million rows are then twelve weeks, which a ledger keeps.
_HISTORY_PERIOD = 12 * MINUTE
#: The exit statuses of a command that did its work; 1 if what it found needs attention.
_WORKED = (0, 1)
#: Time from ready until late occurrences have been claimed.
_CLAIM_S = 10.0
#: Claims that are measured, the occurrences of each, and how long one may take.
_MEASURED_CLAIMS, _CLAIM_SIZE, _CLAIM_TAKES_S = 21, 1000, 0.05


@dataclass(frozen=True, slots=True)
class Sizes:
    """
    Numbers of jobs in a file, of occurrences in a ledger, of jobs after a stop, of faulty jobs on a line.
    """

    jobs: int = 20_000
    rows: int = 1_000_000
    late: int = 100
    faulty: int = 1000


FULL, QUICK = Sizes(), Sizes(jobs=500, rows=10_000, late=10, faulty=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """
    Attributes:
        cpu_s: User and system time, seconds.
        most_s: Limit, seconds: of CPU time if `judges_cpu`, otherwise of wall time.
    """

    what: str
    cpu_s: float
    wall_s: float
    most_s: float
    judges_cpu: bool = False

    def verdict(self) -> Verdict:
        """Judge that the limit was kept."""
        kind, value = ("CPU", self.cpu_s) if self.judges_cpu else ("wall", self.wall_s)
        return at_most(f"{self.what}: {kind}", value, self.most_s, unit=" s")


def measure(sizes: Sizes, *, repeat: int) -> Table:
    """Measure each part with a daemon of its own. Commands are medians of several runs."""
    table = Table(
        name="large",
        title="Many jobs, long history, long stop, many faults",
        explained=[
            f"Seconds. Commands: medians of {repeat}, from their start to their end. The CPU time is user "
            "and system."
        ],
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
        what = f"{sizes.rows} occurrences in the ledger"
        yield _claims(one.ledger, what=what)
        one.start()
        for word in ("history", "status", "skew"):
            yield _command(one, word, repeat=repeat, what=what, most_s=0.4)
        _move_schedules_back(one.ledger, 30 * DAY)
        yield _command(one, "audit", "--since", "30d", repeat=1, what=what, most_s=30)


def _shipped_file(_: Sizes, repeat: int) -> Iterator[Cost | Verdict]:
    with daemon((ROOT / "jobs.yaml").read_text()) as one:
        one.start()
        for word in ("next", "status"):
            yield _command(one, word, repeat=repeat, what="the shipped jobs.yaml", most_s=0.4)


def _stopped_for_a_day(sizes: Sizes, _: int) -> Iterator[Cost | Verdict]:
    """
    Measure a start after a day. Half of the jobs may still run and are coalesced; the other half is too late.
    """
    jobs = _jobs(sizes.late, lambda number: "{every: 1m}", lambda number: "2d" if number % 2 else "30s")
    with daemon(jobs) as one:
        one.start()
        one.stop()
        since_ns = _set_back(one.ledger, DAY)
        yield _start(one, what=f"{sizes.late} jobs every minute, stopped for a day", most_s=10)
        until_ns = time.time_ns()
        # Late occurrences that run are claimed after the daemon is ready.
        due, missing, wrong = _covered(one, sizes.late, since_ns, until_ns)
        yield none_of("due fire times without a row", missing, due)
        yield none_of("due fire times covered twice, or rows of fire times that are not due", wrong, due)


def _many_faults(sizes: Sizes, repeat: int) -> Iterator[Cost | Verdict]:
    jobs = ", ".join(
        f"job_{number}: {{schedule: {{every: 0s}}, http: 'ftp://nowhere'}}" for number in range(sizes.faulty)
    )
    with daemon(f"version: 1\njobs: {{{jobs}}}\n") as one:
        yield _command(
            one,
            "validate",
            repeat=repeat,
            what=f"{sizes.faulty} faulty jobs on one line",
            most_s=5,
            statuses=(2,),
        )


def _jobs(count: int, schedule: Callable[[int], str], grace: Callable[[int], str] = lambda _: "30s") -> str:
    """Return a jobs file like one that people write."""
    lines = ["version: 1", "timezone: Europe/Berlin", "jobs:"]
    for number in range(count):
        lines += [
            f"  job_{number}:",
            f"    schedule: {schedule(number)}",
            f"    misfire_grace_time: {grace(number)}",
            f"    http: {{url: {_URL}/{number}, method: POST, json: {{run: '{{{{ occurrence.id }}}}'}}}}",
        ]
    return "\n".join([*lines, ""])


def _claims(url: str, *, what: str) -> Cost:
    """Measure the claim of a thousand occurrences, at other times of the history each time."""
    with tempfile.TemporaryDirectory(prefix="tminus-bench-") as folder:
        file = Path(folder) / "jobs.yaml"
        file.write_text(_jobs(_CLAIM_SIZE, lambda _: "{every: 1m}"))
        definitions = load(file).definitions
    if definitions is None:
        raise DaemonFailed("the jobs file of the bench is not valid")
    cpu: list[float] = []
    wall: list[float] = []
    with contextlib.closing(open_ledger(url)) as ledger:
        now_ns = time.time_ns()
        instance = register(ledger, kind="daemon", config_version=definitions.version, now_ns=now_ns)
        for number in range(_MEASURED_CLAIMS):
            at_ns = now_ns // MINUTE * MINUTE - number * DAY
            due = [scheduled(job, at_ns, version=definitions.version) for job in definitions.jobs.values()]
            cpu_before, begun = time.process_time(), time.monotonic()
            made = claim(ledger, due, planned_at_ns=at_ns, instance=instance, token=uuid.uuid4().hex)
            wall.append(time.monotonic() - begun)
            cpu.append(time.process_time() - cpu_before)
            if len(made.claimed) != _CLAIM_SIZE:
                raise DaemonFailed(f"{len(made.claimed)} of {_CLAIM_SIZE} were claimed")
        with ledger.write() as connection:
            connection.execute(occurrences.delete().where(occurrences.c.outcome.is_(None)))
    return Cost(
        what=f"{what}: claim of {_CLAIM_SIZE}", cpu_s=median(cpu), wall_s=median(wall), most_s=_CLAIM_TAKES_S
    )


def _command(
    one: Daemon,
    *words: str,
    repeat: int,
    what: str,
    most_s: float,
    judges_cpu: bool = False,
    statuses: Collection[int] = _WORKED,
) -> Cost:
    cpu: list[float] = []
    wall: list[float] = []
    for _ in range(repeat):
        cpu_before, begun = _children_cpu_s(), time.monotonic()
        done = one.run(*words)
        wall.append(time.monotonic() - begun)
        cpu.append(_children_cpu_s() - cpu_before)
        if done.returncode not in statuses:
            command = " ".join(words)
            raise DaemonFailed(f"tminus {command} ended with {done.returncode}: {done.stderr[-500:]}")
    return Cost(
        what=f"{what}: {words[0]}",
        cpu_s=median(cpu),
        wall_s=median(wall),
        most_s=most_s,
        judges_cpu=judges_cpu,
    )


def _start(one: Daemon, *, what: str, most_s: float) -> Cost:
    begun = time.monotonic()
    one.start()
    wall_s = time.monotonic() - begun
    return Cost(
        what=f"{what}: daemon ready", cpu_s=sum(map(_cpu_s, family(one.pid))), wall_s=wall_s, most_s=most_s
    )


def _row(cost: Cost) -> tuple[str, ...]:
    return (
        cost.what,
        f"{cost.cpu_s:.2f}",
        f"{cost.wall_s:.2f}",
        f"{cost.most_s:g}",
        "CPU" if cost.judges_cpu else "wall",
    )


def _children_cpu_s() -> float:
    """Return the CPU time of all commands that have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _cpu_s(pid: int) -> float:
    """
    Return the CPU time of a running process and its ended children, in seconds. Source: proc(5),
    /proc/PID/stat.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _fill(url: str, rows: int) -> None:
    """Insert this many occurrences: batches that have succeeded, the last one a moment ago."""
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
    """Move the last daemon back in time. Return the time up to which it has decided all fire times."""
    with contextlib.closing(open_ledger(url)) as ledger, ledger.write() as connection:
        connection.execute(occurrences.delete())
        connection.execute(instances.update().values(decided_until_ns=None))
        earlier = schedules.c.since_ns - by_ns
        connection.execute(schedules.update().values(since_ns=earlier, decided_until_ns=earlier))
        return int(connection.execute(sa.select(sa.func.max(schedules.c.decided_until_ns))).scalar_one())


def _move_schedules_back(url: str, by_ns: int) -> None:
    """Let the schedules have begun earlier, so that `audit` looks at their fire times since then."""
    with contextlib.closing(open_ledger(url)) as ledger, ledger.write() as connection:
        connection.execute(schedules.update().values(since_ns=schedules.c.since_ns - by_ns))


def _covered(one: Daemon, jobs: int, since_ns: int, until_ns: int) -> tuple[int, list[str], list[str]]:
    """Return how many fire times were due, which have no row, and which have two."""
    periods = {f"job_{number}": MINUTE for number in range(jobs)}
    found: list[tuple[int, list[str], list[str]]] = []

    def look() -> bool:
        rows = one.ask("history", "--limit", "1000000")
        evidence = Evidence(
            rows=rows, arrivals=(), period_ns=periods, quick=(), since_ns=since_ns, until_ns=until_ns
        )
        found.append(cover(evidence))
        return not found[-1][1]

    eventually(look, timeout_s=_CLAIM_S)
    return found[-1]
