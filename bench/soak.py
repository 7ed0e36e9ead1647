"""
`python -m bench.soak`: twelve parts, each judged from outside.

1. A hundred jobs are due every second, for ten minutes. None is missed or doubled, and memory stays constant.
2. Four web workers submit ten thousand background runs while the daemon is killed five times. None is lost,
   and repeated calls are recorded.
3. Web workers restart with new code and submit 500 background runs, while the daemon reloads it. None is
   lost, and none fails because a function is not known yet.
4. A job fails every second, for a minute. A webhook is told of each failure once, within seconds.
5. Fire times are compared with Debian's cron, through all transitions of all time zones from 2020 to 2037.
6. A daemon is killed at every crash point, at the first, second and third passage, on each database.
7. A daemon is killed at system calls that the seed selects, on each database.
8. The wall clock is set by up to a year, in each phase of a countdown, and by ten years.
9. A daemon with 500 jobs of all policies was stopped for an hour. Each fire time ends as its policies say.
10. The ledger grows by a known number of bytes per occurrence, on each database.
11. A database goes away for a minute, under load. Nothing that was claimed is missed, and no outcome is lost.
12. Fault rounds: ten minutes of faults of all kinds on each database. Each due fire time has exactly one
   outcome.

The ledger is compared with the server's log, and with the clock, which says what was due. `python -m bench
--publish` puts the verdicts of all runs on the present code into docs/reliability.md.
"""

import argparse
import random
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from bench import (
    away,
    crash_points,
    deploy,
    fire_times,
    growth,
    killed,
    messages,
    results,
    system_calls,
)
from bench.arrivals import read_log
from bench.clock import after_an_hour, steps
from bench.figures import MS, percentile_ms
from bench.installed import NotInstalled, install_in_ci
from bench.interrupt import leave_in_order
from bench.machine import OUT, ROOT, describe, heading, most_files
from bench.memory import pss_mb
from bench.server import Server, courses
from bench.table import Verdict, none_of
from bench.tminus_run import Daemon, DaemonFailed, at, daemon, jobs_text
from bench.torture import rounds
from bench.waiting import SECOND, pause, wait_until, whole_second

JOBS = 100
MINUTES = 10.0
#: Seconds of failures that are told.
_TOLD_S = 60
#: Accepted change, as a share of the memory before.
MEMORY_SHARE = 0.05
#: In the first half, caches fill and the allocator takes what the busiest second needs. So the last minute is
#: compared with the first minute of the second half.
_LEAST_FOR_MEMORY_S = 480
_FIRST_T_S = 2
#: Time until the last responses are in the ledger and in the log.
_LATE_S = 3
_PROGRESS_S = 30


def main(words: Sequence[str]) -> int:
    """Run the soak. Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"how long [{MINUTES:g}]")
    parser.add_argument("--calls", type=int, default=killed.CALLS, help=f"background runs [{killed.CALLS}]")
    parser.add_argument(
        "--submits", type=int, default=deploy.SUBMITS, help=f"submits during the deploy [{deploy.SUBMITS}]"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=rounds.SECONDS,
        help=f"seconds of faults per fault round [{rounds.SECONDS:g}]",
    )
    parser.add_argument(
        "--away", type=float, default=away.SECONDS, help=f"seconds without a database [{away.SECONDS:g}]"
    )
    parser.add_argument(
        "--kills", type=int, default=system_calls.KILLS, help=f"kills at system calls [{system_calls.KILLS}]"
    )
    parser.add_argument("--seed", type=int, help="seed that selects the faults [a new one each time]")
    parser.add_argument("--fault", action="append", help="only faults with this in their name; repeatable")
    parser.add_argument("--only", action="append", choices=PARTS, help="only this part; repeatable")
    parser.add_argument(
        "--out",
        type=Path,
        default=OUT,
        help=f"folder for {results.NAME} and {system_calls.NAME} [{OUT.relative_to(ROOT)}]",
    )
    options = parser.parse_args(words)
    leave_in_order()
    install_in_ci()
    most_files()
    print(heading("tminus soak", describe()), flush=True)
    options.seed = random.randrange(1_000_000) if options.seed is None else options.seed
    verdicts: list[Verdict] = []
    for name in PARTS:
        if name in (options.only or PARTS):
            found = _measured(partial(PARTS[name], options))
            results.keep(options.out, results.result(name, seed=options.seed, words=words, verdicts=found))
            verdicts += found
    print("\n".join(map(str, verdicts)))
    return 0 if all(verdict.ok for verdict in verdicts) else 1


def _measured(measure: Callable[[], list[Verdict]]) -> list[Verdict]:
    try:
        return measure()
    except DaemonFailed as error:
        return [Verdict(False, str(error))]
    except NotInstalled as error:
        return [Verdict(True, f"left out: {error}")]


def _torture(database: str, options: argparse.Namespace) -> list[Verdict]:
    picture = options.out / results.picture_of(f"torture-{database}", options.seed)
    faults = options.fault or ()
    return rounds.measure(database, options.seconds, options.seed, picture=picture, only=faults)


def _jobs(seconds: int) -> list[Verdict]:
    with (
        tempfile.TemporaryDirectory(prefix="tminus-soak-") as folder,
        Server(Path(folder) / "server", log=True) as server,
    ):
        return _soak(server, seconds)


def _soak(server: Server, seconds: int) -> list[Verdict]:
    course = next(courses(server, "soak"))
    urls = [f"{course.url}{index}" for index in range(JOBS)]
    # allow_all: a delayed batch on a busy machine must not skip the next one.
    with daemon(jobs_text(urls, {"every": "1s"}, overlap="allow_all")) as one:
        one.start()
        first_ns = whole_second(_FIRST_T_S)
        print(f"{JOBS} jobs due every second, {seconds} s from {at(first_ns)}; target: {server}", flush=True)
        memory = _watch(one, first_ns, seconds)
        pause(_LATE_S)
        status = one.stop()
        history = one.ask("history", "--limit", str(2 * JOBS * (seconds + 60)))
    due = {
        f"job_{index}@{at(first_ns + second * SECOND)}" for index in range(JOBS) for second in range(seconds)
    }
    arrived = Counter(arrival.occurrence for arrival in read_log(server.log_file))
    offsets = sorted(
        round(run["start_offset_ms"] * MS)
        for run in history
        if run["id"] in due and run["start_offset_ms"] is not None
    )
    shown = (
        f"{name} {percentile_ms(offsets, share):.2f} ms"
        for name, share in (("p50", 0.5), ("p99", 0.99), ("last", 1.0))
    )
    print(f"start offsets in the ledger: {', '.join(shown)}")
    return [
        Verdict(status == 0, f"tminus daemon ended with {status}"),
        *accounts(due, arrived, {run["id"]: run["outcome"] for run in history}),
        is_flat(memory),
    ]


def _watch(one: Daemon, first_ns: int, seconds: int) -> list[float]:
    """Return the memory in the middle of each second, during the batches."""
    memory: list[float] = []
    for second in range(seconds):
        wait_until(first_ns + second * SECOND + SECOND // 2)
        memory.append(pss_mb(one.pid, with_files=False))
        if (second + 1) % _PROGRESS_S == 0:
            print(
                f"  {second + 1:>4} of {seconds} s: {JOBS * (second + 1)} due, memory {memory[-1]:.1f} MB",
                flush=True,
            )
    return memory


def accounts(due: Iterable[str], arrived: Counter[str], outcomes: dict[str, str | None]) -> list[Verdict]:
    """
    Judge that nothing was missed or doubled.

    Args:
        due: Ids of the occurrences that had to run.
        arrived: How often each id reached the server, including ids outside of the watched time.
        outcomes: The outcome of each id in the ledger; None if there is none yet.
    """
    wanted = set(due)
    succeeded = {each for each, outcome in outcomes.items() if outcome == "succeeded"}
    # Also before and after the watched time, during the start and stop of the daemon.
    differing = succeeded ^ set(arrived)
    doubled = [each for each, times in arrived.items() if times > 1]
    return [
        none_of("due but not in the server's log", wanted - set(arrived), len(wanted)),
        none_of(
            "due but not succeeded in the ledger",
            (f"{each} {outcomes.get(each, 'is not there')}" for each in wanted - succeeded),
            len(wanted),
        ),
        none_of("more than once in the server's log", doubled, len(arrived)),
        none_of("in the server's log or succeeded in the ledger, but not both", differing, len(arrived)),
    ]


def is_flat(memory_mb: Sequence[float]) -> Verdict:
    """
    Judge that the last minute takes as much memory as the first minute of the second half. Values are
    megabytes, one per second.
    """
    if len(memory_mb) < _LEAST_FOR_MEMORY_S:
        return Verdict(True, f"memory is not judged in less than {_LEAST_FOR_MEMORY_S // 60} minutes")
    half = len(memory_mb) // 2
    before, last = statistics.fmean(memory_mb[half : half + 60]), statistics.fmean(memory_mb[-60:])
    change = last / before - 1
    words = (
        f"memory of daemon and executors: {before:.1f} MB after {half // 60} minutes, {last:.1f} MB in the "
        f"last minute ({change:+.1%})"
    )
    words += f", target: within {MEMORY_SHARE:.0%}"
    return Verdict(abs(change) <= MEMORY_SHARE, words, value=abs(change))


#: What measures each part, in their order.
PARTS: Mapping[str, Callable[[argparse.Namespace], list[Verdict]]] = {
    "jobs": lambda options: _jobs(max(round(options.minutes * 60), 1)),
    "background": lambda options: killed.measure(options.calls),
    "deploy": lambda options: deploy.measure(options.submits),
    "messages": lambda options: messages.measure(max(round(min(options.minutes * 60, _TOLD_S)), 1)),
    "fire-times": lambda options: fire_times.measure(options.seed),
    "crash-points": lambda options: [
        verdict for database in rounds.DATABASES for verdict in crash_points.measure(database, options.seed)
    ],
    "system-calls": lambda options: system_calls.measure(
        options.seed, options.kills, options.out / system_calls.NAME
    ),
    "clock": lambda options: steps.measure(options.seed),
    "after-an-hour": lambda options: after_an_hour.measure(options.seed),
    "growth": lambda _: growth.measure(),
    "database-away": lambda options: away.measure(options.away, options.seed),
    **{f"torture-{database}": partial(_torture, database) for database in rounds.DATABASES},
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
