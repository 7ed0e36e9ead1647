"""
The table of the peers: how late each of them starts N requests, on loopback, where connecting costs almost
nothing.
"""

from collections.abc import Sequence
from pathlib import Path

from bench import contestants
from bench.contestants import LEAD_S
from bench.machine import may_run_real_time
from bench.report import all_armed, complete, header, interleaved, other, ratio, row
from bench.runs import Summary, Witness, summaries
from bench.server import Server, courses
from bench.table import Table, Verdict, at_most

#: Targets: ratio of the last request to that of the limit, with a real-time priority and without.
LIMIT_TIMES = {100: (2.0, 4.0), 1000: (1.3, 2.2), 10_000: (1.4, 2.5)}
#: Targets: ratio of the last request to that of one thread per job.
BARRIER_SHARE = {100: 1 / 5, 1000: 1 / 10}
#: Memory of daemon and executors half a second before T.
MOST_PSS_MB = {10_000: 500.0}
#: The commit needs the rest of the lead.
MOST_COLLECT_S = {10_000: LEAD_S - 0.25}


def measure(server: Server, witness: Witness, folder: Path, *, sizes: Sequence[int], repeat: int) -> Table:
    """Measure on one server. The folder is for compiled programs."""
    ways = courses(server, "r")
    lined_up = [
        contestants.tminus("auto"),
        contestants.barrier(),
        contestants.apscheduler(),
        contestants.limit(folder),
        contestants.tminus("normal"),
    ]
    runs = interleaved([(each, ways, witness) for each in lined_up], sizes=sizes, repeat=repeat)
    found = summaries(runs)
    table = Table(
        name="loopback",
        title="N requests at one T, loopback, plain HTTP",
        explained=[
            f"Milliseconds after T; medians of {repeat}. Target: {server}, the same for all; runs "
            "interleaved.",
            f"Witness: {witness}.",
        ],
        header=header("last / (d)", "last / (b)"),
        raw=[one.as_json() for one in runs],
    )
    for summary in found:
        table.rows.append(
            row(summary, *(ratio(summary, other(found, summary, name)) for name in ("limit", "barrier")))
        )
        table.notes += summary.notes
        if summary.contestant.startswith("tminus"):
            table.verdicts += _judge(summary, found)
    return table


def _judge(summary: Summary, found: Sequence[Summary]) -> list[Verdict]:
    limit, barrier = (ratio(summary, other(found, summary, name)) for name in ("limit", "barrier"))
    verdicts = [complete(summary)]
    if times := LIMIT_TIMES.get(summary.n):
        is_real_time = summary.contestant == "tminus" and may_run_real_time()
        most = times[0] if is_real_time else times[1]
        verdicts.append(at_most(f"{summary}: last", limit, most, of=" times the limit (d)"))
    if share := BARRIER_SHARE.get(summary.n):
        verdicts.append(at_most(f"{summary}: last", barrier, share, of=" times (b)"))
    if most_mb := MOST_PSS_MB.get(summary.n):
        verdicts.append(
            at_most(
                f"{summary}: PSS at T − 0.5 s", summary.worst(lambda start: start.pss_mb), most_mb, unit=" MB"
            )
        )
        verdicts.append(all_armed(summary))
    if most_s := MOST_COLLECT_S.get(summary.n):
        took_s = summary.worst(lambda start: start.collected_s)
        verdicts.append(
            at_most(
                f"{summary}: of the {LEAD_S} s lead, collecting and claiming all jobs takes",
                took_s,
                most_s,
                unit=" s",
            )
        )
    return verdicts
