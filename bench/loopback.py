"""The table of the peers: who starts N requests at T how late, on loopback, where connecting costs next to nothing."""

import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import contestants
from bench.contestants import Contestant
from bench.course import Course
from bench.machine import may_run_real_time
from bench.runs import Run, Summary, Witness, run, summaries
from bench.server import Server
from bench.table import Table, Verdict, at_most, number

#: The last request, in times of the limit's: with a real-time priority, without.
LIMIT_TIMES = {100: (2.0, 4.0), 1000: (1.3, 2.2), 10_000: (1.4, 2.5)}
#: The last request, as a part of the last one of a thread a job.
BARRIER_SHARE = {100: 1 / 5, 1000: 1 / 10}
#: Daemon and executors half a second before T.
MOST_PSS_MB = {10_000: 500.0}

HEADER = (
    *("", "N", "first", "p50", "p99", "last", "(best–worst)", "missing", "doubled", "early"),
    *("last / (d)", "last / (b)", "armed", "PSS MB", "runs"),
)
#: A client's port stays taken for a minute for one address of the server: with several, 10,000 connections a run do not use
#: all of them up.
_HOSTS = tuple(f"127.0.0.{last}" for last in range(2, 10))


def hosts() -> Sequence[str]:
    """The addresses that the server for this table listens on."""
    return _HOSTS


def courses(server: Server, name: str) -> Iterator[Course]:
    """One for each run; no two have a path in common."""
    for index in itertools.count():
        yield Course(host=server.hosts[index % len(server.hosts)], port=server.port, prefix=f"/{name}{index}/job/")


def measure(server: Server, witness: Witness, folder: Path, *, sizes: Sequence[int], repeat: int) -> Table:
    """Everything once, then everything again: what disturbs the machine disturbs all alike."""
    lined_up = [
        contestants.tminus("auto"),
        contestants.barrier(),
        contestants.apscheduler(),
        contestants.limit(folder),
        contestants.tminus("normal"),
    ]
    runs = _all_runs(lined_up, server, witness, sizes=sizes, repeat=repeat)
    found = summaries(runs)
    table = Table(
        name="loopback",
        title="N requests at one T, loopback, plain HTTP",
        explained=[
            f"Milliseconds after T; medians of {repeat}. Target: {server}, the same for all; runs interleaved.",
            f"Witness: {witness}.",
        ],
        header=HEADER,
        raw=[one.as_json() for one in runs],
    )
    for summary in found:
        table.rows.append(row(summary, _other(found, summary, "limit"), _other(found, summary, "barrier")))
        table.notes += [f"N={summary.n}, {summary.title}: {note}" for note in summary.notes]
        if summary.left_out:
            table.notes.append(f"N={summary.n}, {summary.title}: left out: {summary.left_out}")
        if summary.contestant.startswith("tminus"):
            table.verdicts += _judge(summary, found)
    return table


def row(summary: Summary, limit: Summary | None, barrier: Summary | None) -> Sequence[str]:
    """The cells of one contestant with one N."""
    if summary.left_out:
        return (summary.title, str(summary.n), *(["–"] * (len(HEADER) - 3)), "left out")
    best, worst = summary.last_range
    armed = summary.fewest_armed
    return (
        summary.title,
        str(summary.n),
        number(summary.median(lambda figures: figures.first_ms)),
        number(summary.median(lambda figures: figures.p50_ms)),
        number(summary.median(lambda figures: figures.p99_ms)),
        number(summary.last_ms),
        f"({best:.2f}–{worst:.2f})",
        str(summary.total(lambda figures: figures.missing)),
        str(summary.total(lambda figures: figures.doubled)),
        str(summary.total(lambda figures: figures.early)),
        number(_ratio(summary, limit)),
        number(_ratio(summary, barrier), 3),
        "–" if armed is None else str(armed),
        number(summary.most_pss_mb, 0),
        str(len(summary.measured)),
    )


def complete(summary: Summary) -> Verdict:
    """Each job once, none before T, in every run."""
    complete = sum(run.figures.is_complete for run in summary.measured if run.figures)
    ok = complete == len(summary.runs) > 0
    words = f"N={summary.n}, {summary.title}: each job once and none before T in {complete} of {len(summary.runs)} runs"
    return Verdict(ok, words)


def all_armed(summary: Summary) -> Verdict:
    """Every attempt says `armed: true`."""
    words = f"N={summary.n}, {summary.title}: at least {summary.fewest_armed} of {summary.n} attempts armed, to reach all"
    return Verdict(summary.fewest_armed == summary.n, words)


def _all_runs(
    lined_up: Sequence[Contestant], server: Server, witness: Witness, *, sizes: Sequence[int], repeat: int
) -> list[Run]:
    runs: list[Run] = []
    ways = courses(server, "r")
    for _ in range(repeat):
        for n in sizes:
            for contestant in lined_up:
                runs.append(run(contestant, n, next(ways), witness))
                say(runs[-1])
    return runs


def say(one: Run) -> None:
    """Progress, a line a run."""
    result = f"left out: {one.left_out}" if one.figures is None else f"last {one.figures.last_ms:.2f} ms"
    print(f"  N={one.n:<6} {one.title:40} {result}", flush=True)


def _other(found: Sequence[Summary], summary: Summary, contestant: str) -> Summary | None:
    for other in found:
        if other.n == summary.n and other.contestant == contestant and other is not summary and not other.left_out:
            return other
    return None


def _judge(summary: Summary, found: Sequence[Summary]) -> list[Verdict]:
    limit, barrier = _other(found, summary, "limit"), _other(found, summary, "barrier")
    who = f"N={summary.n}, {summary.title}: last"
    verdicts = [complete(summary)]
    if times := LIMIT_TIMES.get(summary.n):
        is_real_time = summary.contestant == "tminus" and may_run_real_time()
        most = times[0] if is_real_time else times[1]
        verdicts.append(at_most(who, _ratio(summary, limit), most, of=" times the limit (d)"))
    if share := BARRIER_SHARE.get(summary.n):
        verdicts.append(at_most(who, _ratio(summary, barrier), share, of=" times (b)"))
    if most_mb := MOST_PSS_MB.get(summary.n):
        pss = f"N={summary.n}, {summary.title}: PSS at T − 0.5 s"
        verdicts.append(at_most(pss, summary.most_pss_mb or math.nan, most_mb, unit=" MB"))
        verdicts.append(all_armed(summary))
    return verdicts


def _ratio(summary: Summary, other: Summary | None) -> float:
    # A log in steps of 1 ms can say 0.
    return summary.last_ms / other.last_ms if other and other.last_ms > 0 else math.nan
