"""
Views that submit while a batch is released: how long does `submit` take, and does it delay the batch's
requests?
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.contestants import Start
from bench.course import Course
from bench.figures import Figures, percentile_ms
from bench.in_turn import HEADER, PERIOD_S, InTurn, complete, row, times
from bench.machine import ROOT
from bench.runs import Witness
from bench.server import Server, courses
from bench.table import Table, Verdict, at_most
from bench.tminus_run import Daemon, DaemonFailed, daemon, jobs_text
from bench.waiting import eventually

#: Threads of the web worker, and the requests of each thread within the second around a T.
THREADS, EACH = 4, 25
#: Target: ratio of the median last request to that of batches without submits.
TIMES = 1.2
#: Target: duration of a submit.
P99_MS = 10.0
_PEER = ROOT / "bench" / "peers" / "submitting_worker.py"
_JOB = "submitting_worker.noted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """
    Batches under one daemon.

    Attributes:
        alone: Figures of batches without submits.
        beside: Figures of batches with submits.
        took: Duration of each submit, nanoseconds, sorted.
        ran: Number of background runs that succeeded.
    """

    n: int
    alone: Sequence[Figures]
    beside: Sequence[Figures]
    took: Sequence[int]
    ran: int

    @property
    def times(self) -> float:
        """The ratio of the last request beside submits to the last one alone."""
        return times(self.alone, self.beside)


def measure(server: Server, witness: Witness, *, sizes: Sequence[int], repeat: int) -> Table:
    """Measure this many batches of each kind, for each N that has a period."""
    table = Table(
        name="submits",
        title="N requests at one T, while views submit calls",
        explained=[
            f"Milliseconds after T; medians of {repeat} batches, with and without submits in turn. "
            f"Target: {server}.",
            f"Around every other T, {THREADS} threads of a web worker submit {EACH} calls each within "
            "a second; SQLite.",
            f"Witness: {witness}; what a submit takes, by the worker's clock.",
        ],
        header=HEADER,
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
            table.rows += [
                row("alone", n, found.alone),
                row("beside submits", n, found.beside, times=found.times),
            ]
            p50, p99, last = (percentile_ms(found.took, share) for share in (0.5, 0.99, 1))
            table.notes.append(
                f"N={n}: {len(found.took)} submits took {p50:.2f} ms (p50), {p99:.2f} ms (p99), "
                f"{last:.2f} ms (the last)"
            )
            table.verdicts += judge(found)
            table.raw.append(asdict(found))
    return table


def _run(n: int, course: Course, witness: Witness, repeat: int) -> Batches:
    apps = {"submitting_worker": {"app": "submitting_worker:app", "directory": str(_PEER.parent)}}
    jobs = jobs_text([f"{course.url}{index}" for index in range(n)], {"every": f"{PERIOD_S[n]}s"}, apps=apps)
    with daemon(jobs) as one:
        took: list[int] = []
        turns: list[InTurn] = []

        def act() -> Start:
            one.start()
            turns.append(InTurn(n=n, repeat=repeat))
            worker = _worker(one, turns[0].beside)
            turns[0].wait()
            said, _ = worker.communicate(timeout=60)
            took.extend(sorted(each for batch in json.loads(said or "[]") for each in batch))
            eventually(lambda: one.succeeded(_JOB) > len(took), timeout_s=20)
            one.stop()
            return Start(t_ns=turns[0].first_ns)

        seen = witness.watch(act, course)
        ran = one.succeeded(_JOB) - 1  # without the one that opened the ledger
    alone, beside = turns[0].figures(seen, course)
    return Batches(n=n, alone=alone, beside=beside, took=took, ran=ran)


def _worker(one: Daemon, instants: Sequence[int]) -> "subprocess.Popen[str]":
    given = json.dumps({"instants": instants, "threads": THREADS, "each": EACH})
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{_PEER.parent}", "TMINUS_LEDGER": one.ledger}
    command = [
        sys.executable,
        "-c",
        f"import {_PEER.stem}; {_PEER.stem}.main()",
        given,
    ]  # a script would be __main__
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def judge(found: Batches) -> list[Verdict]:
    """
    Judge that all jobs ran once, that submits did not delay requests, and that submits were quick and not
    lost.
    """
    name = f"N={found.n} and {THREADS * EACH} submits"
    submitted = len(found.beside) * THREADS * EACH
    return [
        complete(name, [*found.alone, *found.beside]),
        at_most(f"{name}: last request", found.times, TIMES, of=" times that without them"),
        at_most(f"{name}: a submit, p99", percentile_ms(found.took, 0.99), P99_MS, unit=" ms"),
        Verdict(found.ran == len(found.took) == submitted, f"{name}: {found.ran} of {submitted} calls ran"),
    ]
