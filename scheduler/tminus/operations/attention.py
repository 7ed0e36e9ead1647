"""
What needs attention besides the daemon: jobs that failed or hang, forgotten pauses, a disk that is nearly
full, a write-ahead log that grows.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping

from tminus.errors import shorten
from tminus.instants import format_duration
from tminus.ledger import fire_time_runs, history
from tminus.ledger.engine import Ledger
from tminus.ledger.rows import Unreadable
from tminus.model.definitions import Definitions
from tminus.model.occurrence import Occurrence
from tminus.outcome import FAILED_RUNS, RUNS, OccurrenceState, Outcome
from tminus.policies.pause import Pause, is_forgotten

_MOST_NAMED = 10
_LONGEST_REASON = 200
_LONGEST_PAUSE = 400
#: A run that hangs makes at least this many fire times be skipped. A run that is slow once does not.
_MANY_SKIPPED = 3
_GIB = 1 << 30
#: A disk is nearly full with less than `_LEAST`, or with less than this part and less than `_PLENTY`.
_LEAST_PART = 0.05
_PLENTY = 5 * _GIB
_LEAST = 16 << 20
#: SQLite keeps the log at 4 MiB, unless a reader keeps SQLite from starting it again.
_LONG_LOG = 256 << 20


def failed_jobs(
    ledger: Ledger,
    definitions: Definitions,
    pauses: Mapping[str, Pause],
    *,
    now_ns: int,
    unreadable: Unreadable | None,
) -> Iterator[str]:
    """
    Yield the problems of jobs whose last run failed. A job that was suspended or paused needs no attention.

    Args:
        ledger: The open ledger.
        definitions: The definitions in force.
        pauses: The pauses that nobody has ended, by job.
        now_ns: Wall clock.
        unreadable: See `ledger.rows`.
    """
    paused = {name for name, pause in pauses.items() if pause.covers(now_ns)}
    names = [job.name for job in definitions.jobs.values() if not job.suspended and job.name not in paused]
    last = history.last_of_each(ledger, names, outcomes=RUNS, unreadable=unreadable)
    failed = [one for name in names if (one := last.get(name)) and one.outcome in FAILED_RUNS]
    yield from (_failure(one) for one in failed[:_MOST_NAMED])
    if (more := len(failed) - _MOST_NAMED) > 0:
        yield f"the last run of {more} more job{'' if more == 1 else 's'} failed: tminus jobs"


def forgotten_pauses(definitions: Definitions, pauses: Mapping[str, Pause], *, now_ns: int) -> Iterator[str]:
    """Yield a problem for each pause without an end that operators may have forgotten. Arguments as above."""
    forgotten = [
        name
        for name, job in definitions.jobs.items()
        if job.schedule and not job.suspended and name in pauses and is_forgotten(pauses[name], now_ns)
    ]
    for name in forgotten[:_MOST_NAMED]:
        yield f"{name} is {shorten(str(pauses[name]), _LONGEST_PAUSE)}; tminus resume {name} ends that"
    if (more := len(forgotten) - _MOST_NAMED) > 0:
        yield f"{more} more job{' is' if more == 1 else 's are'} paused without an end: tminus jobs"


def stuck_jobs(ledger: Ledger, unfinished: Iterable[Occurrence], *, now_ns: int) -> Iterator[str]:
    """Yield the problems of jobs that have skipped several fire times because an occurrence still runs."""
    oldest: dict[str, Occurrence] = {}
    for one in unfinished:
        if one.state is OccurrenceState.RUNNING:
            oldest.setdefault(one.id.job, one)
    longest = sorted(oldest.values(), key=lambda one: one.planned_at_ns)[:_MOST_NAMED]
    skipped = fire_time_runs.count_skipped(ledger, [one.id for one in longest])
    for one in longest:
        if (count := skipped.get(one.id.job, 0)) >= _MANY_SKIPPED:
            since = format_duration(now_ns - one.planned_at_ns, whole_seconds=True)
            yield (
                f"{one.id.job} has been running for {since}, and {count} fire times were skipped: "
                f"tminus cancel {one.id}"
            )


def nearly_full_disk(ledger: Ledger) -> Iterator[str]:
    """Yield the problem of a disk on which the ledger has little room. Only that of SQLite is known."""
    if ledger.path is not None:
        disk = os.statvfs(ledger.path.parent)
        if is_nearly_full(free=disk.f_bavail * disk.f_frsize, size=disk.f_blocks * disk.f_frsize):
            yield f"the disk of the ledger is nearly full: {disk.f_bavail * disk.f_frsize >> 20} MiB left"


def long_log(ledger: Ledger) -> Iterator[str]:
    """
    Yield the problem of a write-ahead log that grows, because a program reads the ledger in one transaction
    without end.
    """
    if ledger.path is not None:
        with contextlib.suppress(OSError):
            size = os.stat(f"{ledger.path}-wal").st_size
            if size > _LONG_LOG:
                yield (
                    f"the write-ahead log of the ledger has {size >> 20} MiB: a program has been reading the "
                    f"ledger in one transaction for long"
                )


def is_nearly_full(*, free: int, size: int) -> bool:
    """Return whether a disk of this size has little room, in bytes."""
    return free < _LEAST or (free < _PLENTY and free < size * _LEAST_PART)


def _failure(one: Occurrence) -> str:
    word = "timed out" if one.outcome is Outcome.TIMED_OUT else "failed"
    reason = f" ({shorten(one.reason, _LONGEST_REASON)})" if one.reason else ""
    return f"the last run of {one.id.job} {word}{reason}: tminus logs {one.id.job}"
