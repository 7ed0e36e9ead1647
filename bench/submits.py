"""Views that hand work over while a batch is released: what does `submit` take, and are the batch's requests later for it?"""

import json
import math
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.arrivals import Arrival
from bench.contestants import Start
from bench.course import Course
from bench.figures import Figures, figures, median, percentile_ms
from bench.machine import ROOT
from bench.report import columns
from bench.runs import Witness
from bench.server import Server, courses
from bench.table import Table, Verdict, at_most, number
from bench.tminus_run import Daemon, DaemonFailed, at, daemon, jobs_text
from bench.waiting import SECOND, eventually, wait_until, whole_second

#: Threads of one web worker, and the requests of each around a T, within a second.
THREADS, EACH = 4, 25
#: Seconds between two batches of so many HTTP jobs; around every other one work is handed over.
PERIOD_S = {100: 2, 1000: 3}
#: The median last request, in times of the one of batches around which nobody hands over.
TIMES = 1.2
#: What a submit may take.
P99_MS = 10.0
_SETTLED_S = 5
_PEER = ROOT / "bench" / "peers" / "handing.py"
_JOB = "handing.noted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """
    Some batches under one daemon.

    Attributes:
        alone: Figures of batches around which nothing else happens.
        beside: Of those around which work was handed over.
        took: What each submit took; nanoseconds, sorted.
        ran: How much of that work has succeeded.
    """

    n: int
    alone: Sequence[Figures]
    beside: Sequence[Figures]
    took: Sequence[int]
    ran: int

    @property
    def times(self) -> float:
        """The last request beside submits, in times of the last one alone; NaN where one of them is not known."""
        alone, beside = (median(each.last_ms for each in found) for found in (self.alone, self.beside))
        return beside / alone if alone > 0 else math.nan  # a log in steps of 1 ms can say 0


def measure(server: Server, witness: Witness, *, sizes: Sequence[int], repeat: int) -> Table:
    """That many batches of each kind, for each N that has a period."""
    table = Table(
        name="submits",
        title="N requests at one T, while views hand work over",
        explained=[
            f"Milliseconds after T; medians of {repeat} batches, with and without submits in turn. Target: {server}.",
            f"Around every other T, {THREADS} threads of a web worker hand over {EACH} calls each within a second; SQLite.",
            f"Witness: {witness}; what a submit takes, by the worker's clock.",
        ],
        header=("", "N", "first", "p50", "p99", "last", "(best–worst)", "missing", "doubled", "early", "last / alone", "batches"),
    )
    ways = courses(server, "s")
    for n in (n for n in sizes if n in PERIOD_S):
        try:
            found = _run(n, next(ways), witness, repeat)
        except DaemonFailed as error:
            table.notes.append(f"N={n}: left out: {error}")
            table.verdicts.append(Verdict(False, f"N={n}: not measured"))
        else:
            print(f"  N={n:<6} last {found.times:.2f} times that alone", flush=True)
            table.rows += [_row("alone", n, found.alone), _row("beside submits", n, found.beside, times=found.times)]
            p50, p99, last = (percentile_ms(found.took, share) for share in (0.5, 0.99, 1))
            table.notes.append(
                f"N={n}: {len(found.took)} submits took {p50:.2f} ms (p50), {p99:.2f} ms (p99), {last:.2f} ms (the last)"
            )
            table.verdicts += judge(found)
            table.raw.append(asdict(found))
    return table


def _run(n: int, course: Course, witness: Witness, repeat: int) -> Batches:
    period_s = PERIOD_S[n]
    apps = {"handing": {"app": "handing:app", "directory": str(_PEER.parent)}}
    jobs = jobs_text([f"{course.url}{index}" for index in range(n)], {"every": f"{period_s}s"}, apps=apps)
    with daemon(jobs) as one:
        took: list[int] = []

        def act() -> Start:
            one.start()
            cycle_ns = 2 * period_s * SECOND
            start = Start(t_ns=-(-whole_second(_SETTLED_S) // cycle_ns) * cycle_ns)
            worker = _worker(one, [start.t_ns + index * cycle_ns for index in range(repeat)])
            wait_until(start.t_ns + repeat * cycle_ns - SECOND // 2)
            said, _ = worker.communicate(timeout=60)
            took.extend(sorted(each for batch in json.loads(said or "[]") for each in batch))
            eventually(lambda: one.succeeded(_JOB) > len(took), timeout_s=20)
            one.stop()
            return start

        seen = witness.watch(act, course)
        ran = one.succeeded(_JOB) - 1  # but for the one that opened the ledger
    instants = [seen.start.t_ns + index * period_s * SECOND for index in range(2 * repeat)]
    by_instant: defaultdict[str, list[Arrival]] = defaultdict(list)
    for arrival in seen.sent:
        by_instant[arrival.occurrence.rpartition("@")[2]].append(arrival)
    found = [figures(by_instant[at(each)], t_ns=each, expected=n, prefix=course.prefix) for each in instants]
    return Batches(n=n, alone=found[1::2], beside=found[::2], took=took, ran=ran)


def _worker(one: Daemon, instants: Sequence[int]) -> "subprocess.Popen[str]":
    given = json.dumps({"instants": instants, "threads": THREADS, "each": EACH})
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{_PEER.parent}", "TMINUS_LEDGER": one.ledger}
    command = [sys.executable, "-c", f"import {_PEER.stem}; {_PEER.stem}.main()", given]  # as a script it would be __main__
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def _row(title: str, n: int, found: Sequence[Figures], *, times: float = math.nan) -> Sequence[str]:
    return (title, str(n), *columns(found), number(times), str(len(found)))


def judge(found: Batches) -> list[Verdict]:
    """Whether all ran once, the requests were not later for the submits, and those were quick and lost nothing."""
    batches = [*found.alone, *found.beside]
    well = sum(each.is_complete for each in batches)
    name = f"N={found.n} and {THREADS * EACH} submits"
    handed = len(found.beside) * THREADS * EACH
    return [
        Verdict(well == len(batches) > 0, f"{name}: each job once and none before T in {well} of {len(batches)} batches"),
        at_most(f"{name}: last request", found.times, TIMES, of=" times that without them"),
        at_most(f"{name}: a submit, p99", percentile_ms(found.took, 0.99), P99_MS, unit=" ms"),
        Verdict(found.ran == len(found.took) == handed, f"{name}: {found.ran} of {handed} calls ran"),
    ]
