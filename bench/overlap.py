"""Batches that overlap: `every: 1s` with responses after 5 s, compared with immediate responses."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bench.contestants import Start
from bench.course import Course
from bench.figures import Figures, figures, median
from bench.report import columns
from bench.runs import Witness
from bench.server import SLOW_S, Server, courses
from bench.table import Table, Verdict, at_most
from bench.tminus_run import DaemonFailed, at, daemon, jobs_text
from bench.waiting import SECOND, wait_until, whole_second

if TYPE_CHECKING:
    from bench.arrivals import Arrival

JOBS = 100
#: Target: ratio of the median last request with slow responses to the one with immediate responses.
SLOW_TIMES = 1.5
#: By then the number of concurrent batches is constant.
_SETTLED_S = SLOW_S + 2
#: Names of the batches, by the beginning of their paths.
_NAMES = {"instant": "immediate responses", "slow/": f"responses after {SLOW_S} s"}


@dataclass(frozen=True, slots=True)
class _Batches:
    """
    One run.

    Attributes:
        armed: Attempts with `armed: true`, minimum over the batches.
    """

    name: str
    figures: Sequence[Figures]
    armed: int


def measure(server: Server, witness: Witness, *, batches: int, repeat: int) -> Table:
    """
    Measure this many batches per run, on one server. The table is left out if the server cannot respond late.
    """
    table = Table(
        name="overlap",
        title=f"Batches that overlap: {JOBS} jobs with every: 1s and overlap: allow_all",
        explained=[
            f"Milliseconds after T; medians over {batches} batches per run and {repeat} runs, interleaved. "
            f"Target: {server}.",
            f"Witness: {witness}.",
        ],
        header=(
            "",
            "N",
            "first",
            "p50",
            "p99",
            "last",
            "(best–worst)",
            "missing",
            "doubled",
            "early",
            "armed",
            "batches",
        ),
    )
    if not server.can_be_slow:
        table.left_out = "nginx has no echo module here (libnginx-mod-http-echo): it cannot respond late"
        return table
    ways = {kind: courses(server, kind) for kind in _NAMES}
    runs: dict[str, list[_Batches]] = defaultdict(list)
    for _ in range(repeat):
        for kind, name in _NAMES.items():
            try:
                runs[kind].append(_run(name, next(ways[kind]), witness, batches))
            except DaemonFailed as error:
                table.notes.append(f"{name}: left out: {error}")
            else:
                print(f"  {name:20} median last {_last_ms(runs[kind][-1:]):.2f} ms", flush=True)
    for kind, name in _NAMES.items():
        table.rows.append(_row(name, runs[kind]))
        table.verdicts.append(_complete(name, runs[kind], batches * repeat))
        table.raw += [asdict(one) for one in runs[kind]]
    instant, slow = (_last_ms(runs[kind]) for kind in _NAMES)
    # 0 is possible, because a log has steps of 1 ms.
    times = slow / instant if instant else math.nan
    table.verdicts.append(
        at_most(
            f"{_NAMES['slow/']}: median last", times, SLOW_TIMES, of=f" times that with {_NAMES['instant']}"
        )
    )
    return table


def _run(name: str, course: Course, witness: Witness, batches: int) -> _Batches:
    urls = [f"{course.url}{index}" for index in range(JOBS)]
    with daemon(jobs_text(urls, {"every": "1s"}, overlap="allow_all")) as one:

        def act() -> Start:
            one.start()
            start = Start(t_ns=whole_second(_SETTLED_S))
            wait_until(start.t_ns + batches * SECOND - SECOND // 2)
            one.stop()
            return start

        seen = witness.watch(act, course)
        instants = [seen.start.t_ns + index * SECOND for index in range(batches)]
        history = one.ask(
            "history", "--since", at(instants[0]), "--limit", str(2 * JOBS * (batches + _SETTLED_S))
        )
    armed = Counter(occurrence["fire_time"] for occurrence in history if occurrence["armed"])
    by_instant: defaultdict[str, list[Arrival]] = defaultdict(list)
    for arrival in seen.sent:
        by_instant[arrival.occurrence.rpartition("@")[2]].append(arrival)
    found = [
        figures(by_instant[at(each)], t_ns=each, expected=JOBS, prefix=course.prefix) for each in instants
    ]
    return _Batches(name, found, min(armed[at(each)] for each in instants))


def _all(runs: Sequence[_Batches]) -> list[Figures]:
    return [each for one in runs for each in one.figures]


def _last_ms(runs: Sequence[_Batches]) -> float:
    return median(each.last_ms for each in _all(runs))


def _row(name: str, runs: Sequence[_Batches]) -> Sequence[str]:
    found = _all(runs)
    return (
        name,
        str(JOBS),
        *columns(found),
        str(min((one.armed for one in runs), default=0)),
        str(len(found)),
    )


def _complete(name: str, runs: Sequence[_Batches], wanted: int) -> Verdict:
    well = sum(each.is_complete for each in _all(runs))
    return Verdict(well == wanted, f"{name}: each job once and none before T in {well} of {wanted} batches")
