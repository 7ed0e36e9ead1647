"""
`python -m bench.soak`: a hundred jobs due every second, for ten minutes. None missed, none doubled, memory flat. Then ten
thousand background calls from four web workers, the daemon killed five times meanwhile. None lost, what was called twice says so.
Then the torture rounds: twenty minutes of faults of all kinds on each database. Each due instant has exactly one outcome.

Judged from outside: what the ledger says is held against the server's log, and against the clock, which says what was due.
"""

import argparse
import random
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench import killed
from bench.arrivals import read_log
from bench.figures import MS, percentile_ms
from bench.installed import install_in_ci
from bench.interrupt import leave_in_order
from bench.machine import describe, heading, most_files
from bench.memory import pss_mb
from bench.server import Server, courses
from bench.table import Verdict, none_of
from bench.tminus_run import Daemon, DaemonFailed, at, daemon, jobs_text
from bench.torture import rounds
from bench.waiting import SECOND, pause, wait_until, whole_second

_PARTS = ("jobs", "background", *(f"torture-{database}" for database in rounds.DATABASES))
JOBS = 100
MINUTES = 10.0
#: Of the second minute's memory.
MEMORY_SHARE = 0.05
#: The first minute settles, the second is what the last is held against.
_LEAST_FOR_MEMORY_S = 180
_FIRST_T_S = 2
#: Until the last answers are in the ledger and in the log.
_LATE_S = 3
_PROGRESS_S = 30


def main(words: Sequence[str]) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"how long [{MINUTES:g}]")
    parser.add_argument("--calls", type=int, default=killed.CALLS, help=f"background calls [{killed.CALLS}]")
    parser.add_argument("--seconds", type=float, default=rounds.SECONDS, help=f"faults of a torture round [{rounds.SECONDS:g}]")
    parser.add_argument("--seed", type=int, help="draws the faults of the torture rounds [a new one each time]")
    parser.add_argument("--fault", action="append", help="only faults with this in their name; may be given again")
    parser.add_argument("--only", action="append", choices=_PARTS, help="only this part; may be given again")
    options = parser.parse_args(words)
    parts = options.only or _PARTS
    leave_in_order()
    install_in_ci()
    most_files()
    print(heading("tminus soak", describe()), flush=True)
    verdicts: list[Verdict] = []
    try:
        if "jobs" in parts:
            verdicts += _jobs(max(round(options.minutes * 60), 1))
        if "background" in parts:
            verdicts += killed.measure(options.calls)
        for database in rounds.DATABASES:
            if f"torture-{database}" in parts:
                seed = random.randrange(1_000_000) if options.seed is None else options.seed
                verdicts += rounds.measure(database, options.seconds, seed, options.fault or ())
    except DaemonFailed as error:
        verdicts.append(Verdict(False, str(error)))
    print("\n".join(map(str, verdicts)))
    return 0 if all(verdict.ok for verdict in verdicts) else 1


def _jobs(seconds: int) -> list[Verdict]:
    with tempfile.TemporaryDirectory(prefix="tminus-soak-") as folder, Server(Path(folder) / "server", log=True) as server:
        return _soak(server, seconds)


def _soak(server: Server, seconds: int) -> list[Verdict]:
    course = next(courses(server, "soak"))
    urls = [f"{course.url}{index}" for index in range(JOBS)]
    # allow_all: a batch that a busy machine delays must not cost the next one its run.
    with daemon(jobs_text(urls, {"every": "1s"}, overlap="allow_all")) as one:
        one.start()
        first_ns = whole_second(_FIRST_T_S)
        print(f"{JOBS} jobs due every second, {seconds} s from {at(first_ns)}; target: {server}", flush=True)
        memory = _watch(one, first_ns, seconds)
        pause(_LATE_S)
        status = one.stop()
        history = one.ask("history", "--limit", str(2 * JOBS * (seconds + 60)))
    due = {f"job_{index}@{at(first_ns + second * SECOND)}" for index in range(JOBS) for second in range(seconds)}
    arrived = Counter(arrival.occurrence for arrival in read_log(server.log_file))
    offsets = sorted(
        round(run["start_offset_ms"] * MS) for run in history if run["id"] in due and run["start_offset_ms"] is not None
    )
    shown = (f"{name} {percentile_ms(offsets, share):.2f} ms" for name, share in (("p50", 0.5), ("p99", 0.99), ("last", 1.0)))
    print(f"start offsets in the ledger: {', '.join(shown)}")
    return [
        Verdict(status == 0, f"tminus daemon ended with {status}"),
        *accounts(due, arrived, {run["id"]: run["outcome"] for run in history}),
        is_flat(memory),
    ]


def _watch(one: Daemon, first_ns: int, seconds: int) -> list[float]:
    """The memory in the middle of each second, while batches come and go."""
    memory: list[float] = []
    for second in range(seconds):
        wait_until(first_ns + second * SECOND + SECOND // 2)
        memory.append(pss_mb(one.pid))
        if (second + 1) % _PROGRESS_S == 0:
            print(f"  {second + 1:>4} of {seconds} s: {JOBS * (second + 1)} due, PSS {memory[-1]:.1f} MB", flush=True)
    return memory


def accounts(due: Iterable[str], arrived: Counter[str], outcomes: dict[str, str | None]) -> list[Verdict]:
    """
    Whether nothing was missed or doubled.

    Args:
        due: Ids of the occurrences that had to run.
        arrived: How often each id reached the server, those outside the time watched included.
        outcomes: What the ledger says became of each; None where it does not know yet.
    """
    wanted = set(due)
    succeeded = {each for each, outcome in outcomes.items() if outcome == "succeeded"}
    # Before and after the time watched, too: while the daemon started up and stopped.
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
        none_of("in the server's log or succeeded in the ledger, and not both", differing, len(arrived)),
    ]


def is_flat(memory_mb: Sequence[float]) -> Verdict:
    """Whether the last minute takes as much memory as the second one; megabytes, one value a second."""
    if len(memory_mb) < _LEAST_FOR_MEMORY_S:
        return Verdict(True, f"memory is not judged in less than {_LEAST_FOR_MEMORY_S // 60} minutes")
    second, last = statistics.fmean(memory_mb[60:120]), statistics.fmean(memory_mb[-60:])
    change = last / second - 1
    words = f"PSS of daemon and executors: {second:.1f} MB in the second minute, {last:.1f} MB in the last ({change:+.1%})"
    return Verdict(abs(change) <= MEMORY_SHARE, f"{words}, to stay within {MEMORY_SHARE:.0%}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
