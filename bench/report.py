"""Common parts of the tables of batches: runs, rows, ratios, and verdicts that need no peer."""

import math
from collections.abc import Iterator, Sequence

from bench.contestants import Contestant
from bench.course import Course
from bench.figures import Figures, median
from bench.runs import Run, Summary, Witness, run
from bench.table import Verdict, number

#: A contestant, the URLs of its requests (one course per run), and the witness.
Entry = tuple[Contestant, Iterator[Course], Witness]


def interleaved(entries: Sequence[Entry], *, sizes: Sequence[int], repeat: int) -> list[Run]:
    """
    Run all contestants in turn, so that a disturbance affects all alike. Print one line per run.
    """
    runs = []
    for _ in range(repeat):
        for n in sizes:
            for contestant, ways, witness in entries:
                runs.append(run(contestant, n, next(ways), witness))
                say(runs[-1])
    return runs


def header(*ratios: str) -> Sequence[str]:
    """Return the header for rows made by `row`."""
    counts = ("missing", "doubled", "early")
    return (
        "",
        "N",
        "first",
        "p50",
        "p99",
        "last",
        "(best–worst)",
        *counts,
        *ratios,
        "armed",
        "PSS MB",
        "runs",
    )


def row(summary: Summary, *ratios: float) -> Sequence[str]:
    """Return the cells of one contestant with one N."""
    if summary.left_out:
        return (summary.title, str(summary.n), *(["–"] * (len(header()) - 3 + len(ratios))), "left out")
    return (
        summary.title,
        str(summary.n),
        *columns([run.figures for run in summary.measured if run.figures]),
        *(number(each, 3 if each < 1 else 2) for each in ratios),
        number(summary.fewest_armed, 0),
        number(summary.worst(lambda start: start.pss_mb), 0),
        str(len(summary.measured)),
    )


def other(found: Sequence[Summary], summary: Summary, contestant: str) -> Summary | None:
    """Return the summary of another contestant with the same N; None if it was left out or is this one."""
    for each in found:
        if (
            each.n == summary.n
            and each.contestant == contestant
            and each is not summary
            and not each.left_out
        ):
            return each
    return None


def ratio(summary: Summary, to: Summary | None) -> float:
    """Return the ratio of the last requests of two contestants; NaN if one is unknown."""
    # 0 is possible, because a log has steps of 1 ms.
    return summary.last_ms / to.last_ms if to and to.last_ms > 0 else math.nan


def complete(summary: Summary) -> Verdict:
    """Judge that each job arrived once and none before T, in every run."""
    well, of = sum(run.figures.is_complete for run in summary.measured if run.figures), len(summary.runs)
    return Verdict(well == of > 0, f"{summary}: each job once and none before T in {well} of {of} runs")


def all_armed(summary: Summary) -> Verdict:
    """Judge that every attempt has `armed: true`."""
    fewest = number(summary.fewest_armed, 0)
    return Verdict(
        summary.fewest_armed == summary.n,
        f"{summary}: at least {fewest} of {summary.n} attempts armed, target: all",
    )


def say(one: Run) -> None:
    """Print a line of progress."""
    result = f"left out: {one.left_out}" if one.figures is None else f"last {one.figures.last_ms:.2f} ms"
    print(f"  N={one.n:<6} {one.title:40} {result}", flush=True)


def columns(found: Sequence[Figures]) -> Sequence[str]:
    """
    Return the cells of several batches: medians of first, p50, p99 and last; best and worst last; missing,
    doubled, early.
    """
    lasts = [each.last_ms for each in found]
    medians = (
        median(getattr(each, name) for each in found) for name in ("first_ms", "p50_ms", "p99_ms", "last_ms")
    )
    counts = (sum(getattr(each, name) for each in found) for name in ("missing", "doubled", "early"))
    return (
        *map(number, medians),
        f"({min(lasts):.2f}–{max(lasts):.2f})" if lasts else "–",
        *map(str, counts),
    )
