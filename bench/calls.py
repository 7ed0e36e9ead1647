"""
Python functions of one application at one T, compared with a plain `threading.Barrier` and contexts pushed
after it. The same in processes of their own, compared with processes that are forked before T.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from bench.contestants import LeftOut, Start, finish, in_time, one_batch
from bench.figures import MS, figures, percentile_ms
from bench.notes import Notes, calls, notes
from bench.report import all_armed, complete, header, other, ratio, row, say
from bench.runs import Run, Summary, summaries
from bench.table import Table, Verdict, at_most
from bench.tminus_run import Daemon, DaemonFailed, at, jobs_text
from bench.waiting import whole_second

JOBS = 100
#: Accepted difference between the start offset in the ledger and the function's own note, for 99 of 100
#: functions: one switch of threads.
MOST_OFF_MS = 0.5
#: The last one that has a process of its own.
_MOST_ISOLATED_MS = 100.0

#: Name, title, and the contestant.
_Contestant = tuple[str, str, Callable[[Notes], Start]]


def measure(*, repeat: int) -> Table:
    """Run both contestants in turn, this many times."""
    runs = []
    for _ in range(repeat):
        for contestant in _CONTESTANTS:
            runs.append(_run(*contestant))
            say(runs[-1])
    table = Table(
        name="calls",
        title=f"{JOBS} Python functions of one Flask application at one T",
        explained=[
            f"Milliseconds after T; medians of {repeat}, runs interleaved.",
            "Witness: each function itself, which notes the time as its first act, in memory that is read "
            "from outside.",
        ],
        header=header("last / peer"),
        raw=[one.as_json() for one in runs],
    )
    found = summaries(runs)
    for summary in found:
        peer = other(found, summary, _PEERS.get(summary.contestant, summary.contestant))
        table.rows.append(row(summary, ratio(summary, peer)))
        table.notes += summary.notes
        if summary.contestant in _PEERS:
            table.verdicts += _judge(summary, peer)
    return table


def _run(name: str, title: str, start: Callable[[Notes], Start]) -> Run:
    with notes(JOBS) as noted:
        try:
            started = start(noted)
        except (LeftOut, DaemonFailed) as reason:
            return Run(contestant=name, title=title, n=JOBS, left_out=str(reason))
        found = figures(noted.arrivals(), t_ns=started.t_ns, expected=JOBS)
    return Run(contestant=name, title=title, n=JOBS, start=started, figures=found)


def _tminus(noted: Notes, **call: object) -> Start:
    def jobs(t_ns: int) -> str:
        return jobs_text([], {}, apps=noted.app(), others=calls(JOBS, {"at": at(t_ns)}, **call))

    def run(one: Daemon, t_ns: int) -> Start:
        start = one_batch(one, t_ns, JOBS)
        told = {each["job"]: each["start_offset_ms"] for each in one.ask("history", "--limit", str(2 * JOBS))}
        off_by = sorted(
            abs(arrival.at_ns - t_ns - round(offset_ms * MS))
            for arrival in noted.arrivals()
            if (offset_ms := told.get(f"call_{arrival.path}")) is not None
        )
        return replace(start, off_by_ms=percentile_ms(off_by, 0.99))

    return in_time(jobs, run, n=JOBS)


def _peer(noted: Notes, module: str) -> Start:
    t_ns = whole_second(2.5)
    words = ["--at", str(t_ns), "--n", str(JOBS)]
    said = finish(f"bench.peers.{module}", words, environment=noted.environment)
    waiting = said["waiting_at_t"]
    return Start(t_ns=t_ns, note="" if waiting == JOBS else f"only {waiting} jobs were ready at T")


_CONTESTANTS: Sequence[_Contestant] = (
    ("tminus", "(a) tminus, call", _tminus),
    ("flask-barrier", "(e) Barrier, then the contexts", partial(_peer, module="flask_barrier")),
    ("tminus-isolated", "(a) tminus, isolate: process, first batch", partial(_tminus, isolate="process")),
    ("forks", "(f) forked before T, then the contexts", partial(_peer, module="forks")),
)
#: The peer of each contestant that is judged.
_PEERS = {"tminus": "flask-barrier", "tminus-isolated": "forks"}


def _judge(summary: Summary, peer: Summary | None) -> list[Verdict]:
    if summary.contestant == "tminus-isolated":
        return [
            complete(summary),
            all_armed(summary),
            at_most(f"{summary}: last", ratio(summary, peer), 1, of=" times (f)"),
            at_most(f"{summary}: last", summary.last_ms, _MOST_ISOLATED_MS, unit=" ms"),
        ]
    p50 = _p50_ms(summary) / _p50_ms(peer) if peer and _p50_ms(peer) > 0 else math.nan
    return [
        complete(summary),
        all_armed(summary),
        at_most(f"{summary}: p50", p50, 1, of=" times (e)"),
        at_most(f"{summary}: last", ratio(summary, peer), 1, of=" times (e)"),
        at_most(
            f"{summary}: 99 of 100 start offsets in the ledger differ from the function's own note by up to",
            summary.worst(lambda start: start.off_by_ms),
            MOST_OFF_MS,
            unit=" ms",
        ),
    ]


def _p50_ms(summary: Summary) -> float:
    return summary.median(lambda figures: figures.p50_ms)
