"""
HTTP jobs with a hundred Python functions in their batch, compared with the same HTTP jobs alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from bench import notes
from bench.arrivals import Arrival
from bench.contestants import Start
from bench.course import Course
from bench.figures import Figures, figures
from bench.in_turn import HEADER, PERIOD_S, InTurn, complete, row, times
from bench.machine import may_run_real_time
from bench.notes import Notes
from bench.runs import Witness
from bench.server import Server, courses
from bench.table import Table, Verdict, at_most
from bench.tminus_run import DaemonFailed, at, daemon, jobs_text

CALLS = 100
#: Targets: ratio of the median last request with functions to the one without, with a real-time priority and
#: without.
TIMES = (1.2, 1.6)
_MS = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """
    Batches under one daemon.

    Attributes:
        n: HTTP jobs per batch.
        alone: Figures of the HTTP jobs, in batches without functions.
        beside: Figures of the HTTP jobs, in batches with functions.
        functions: Figures of the functions, by their start offsets in the ledger.
    """

    title: str
    n: int
    real_time: bool
    alone: Sequence[Figures]
    beside: Sequence[Figures]
    functions: Sequence[Figures]

    @property
    def times(self) -> float:
        """The ratio of the last request beside functions to the last one alone."""
        return times(self.alone, self.beside)


def measure(server: Server, witness: Witness, *, sizes: Sequence[int], repeat: int) -> Table:
    """Measure this many batches of each kind, for each N that has a period."""
    table = Table(
        name="mixed",
        title=f"N requests and {CALLS} Python functions at one T",
        explained=[
            f"Milliseconds after T; medians of {repeat} batches, with and without functions in turn. "
            f"Target: {server}.",
            f"Witness: {witness}; for the functions, the ledger.",
        ],
        header=HEADER,
    )
    ways = courses(server, "m")
    for n in (n for n in sizes if n in PERIOD_S):
        for priority in ("auto", "normal"):
            try:
                found = _run(priority, n, next(ways), witness, repeat)
            except DaemonFailed as error:
                table.notes.append(f"N={n}, priority: {priority}: left out: {error}")
                table.verdicts.append(Verdict(False, f"N={n}, priority: {priority}: not measured"))
            else:
                print(f"  N={n:<6} {found.title:40} last {found.times:.2f} times that alone", flush=True)
                table.rows += _rows(found)
                table.verdicts += judge(found)
                table.raw.append(asdict(found))
    return table


def _run(priority: str, n: int, course: Course, witness: Witness, repeat: int) -> Batches:
    real_time = priority == "auto" and may_run_real_time()
    urls = [f"{course.url}{index}" for index in range(n)]
    with notes.notes(CALLS) as noted, daemon(_jobs(urls, PERIOD_S[n], priority, noted)) as one:
        turns: list[InTurn] = []

        def act() -> Start:
            one.start()
            turns.append(InTurn(n=n, repeat=repeat))
            turns[0].wait()
            one.stop()
            return Start(t_ns=turns[0].first_ns)

        seen = witness.watch(act, course)
        history = one.ask(
            "history", "--since", at(turns[0].first_ns), "--limit", str(4 * repeat * (n + CALLS))
        )
    alone, beside = turns[0].figures(seen, course)
    functions = [
        figures(_told(history, each), t_ns=each, expected=CALLS, prefix="call_") for each in turns[0].beside
    ]
    title = "real-time priority" if real_time else f"priority: {priority}"
    return Batches(title=title, n=n, real_time=real_time, alone=alone, beside=beside, functions=functions)


def _jobs(urls: Sequence[str], period_s: int, priority: str, noted: Notes) -> str:
    return jobs_text(
        urls,
        {"every": f"{period_s}s"},
        priority=priority,
        apps=noted.app(),
        others=notes.calls(CALLS, {"every": f"{2 * period_s}s"}),
    )


def _told(history: Iterable[Mapping[str, object]], t_ns: int) -> list[Arrival]:
    """Return the functions that started at this T, by the ledger."""
    return [
        Arrival(t_ns + round(offset_ms * _MS), str(each["job"]))
        for each in history
        if each["fire_time"] == at(t_ns)
        and str(each["job"]).startswith("call_")
        and isinstance(offset_ms := each["start_offset_ms"], float | int)
    ]


def _rows(found: Batches) -> list[Sequence[str]]:
    return [
        row(f"HTTP alone, {found.title}", found.n, found.alone),
        row(f"HTTP beside {CALLS} functions, {found.title}", found.n, found.beside, times=found.times),
        row(f"the {CALLS} functions, {found.title}", found.n, found.functions),
    ]


def judge(found: Batches) -> list[Verdict]:
    """Judge that all ran once, and that the functions did not delay the requests much."""
    name = f"N={found.n} and {CALLS} functions, {found.title}"
    return [
        complete(name, [*found.alone, *found.beside, *found.functions]),
        at_most(
            f"{name}: last request",
            found.times,
            TIMES[0] if found.real_time else TIMES[1],
            of=" times that without them",
        ),
    ]
