"""
Crash points: named moments at which a test kills the process, to see what the next start makes of it.

`TMINUS_CRASH_AT=claim-after-commit:2` kills this process with SIGKILL when it passes that point for the
second time. Without the variable `passed` does nothing.
"""

import os
import signal
from collections.abc import Callable, Mapping
from itertools import count

from tminus.errors import UsageError
from tminus.suggestions import did_you_mean

VARIABLE = "TMINUS_CRASH_AT"
#: Transactions of the ledger. Each has a point before its commit and one after it. (The commit of a batch is
#: the step `releasing`.)
STEPS = {
    "migration": "the tables are created or changed",
    "schedules": "the schedules in force are stored",
    "unknown": "what was released and has no outcome becomes unknown",
    "request": "a request row is taken",
    "backlog": "occurrences that wait for room are stored",
    "claim": "a batch is claimed",
    "releasing": "a batch is committed",
    "outcome": "outcomes are stored",
    "retry": "failed attempts are stored, with the due times of the next ones",
    "unstarted": "occurrences that do not start are stored",
    "link": "links of chains are stored",
    "notices": "notifications are decided",
    "high-water": "a heartbeat is stored, with the high-water mark",
}
BEFORE, AFTER = "before-commit", "after-commit"
#: The other points.
MOMENTS = {
    "recovery": "the recovery begins",
    "recovered": "the recovery has ended, and nothing is planned yet",
    "collect": "fire times of a job were collected",
    "armed": "a batch is armed, and not committed",
    "permitted": "a batch is committed, and its executors were told to start it at T",
    "released": "an executor has reported on a batch, and that is not handled",
    "journal-append": "outcomes are about to be written into the journal",
    "journal-appended": "outcomes are durable in the journal",
    "journal-replay": "the journal of an earlier process is about to be written into the ledger",
    "journal-replayed": "the ledger has its records, and the journal is still there",
}
POINTS = (*(f"{step}-{side}" for step in STEPS for side in (BEFORE, AFTER)), *MOMENTS)


def _nothing(_point: str) -> None:
    pass


def from_environment(environ: Mapping[str, str]) -> Callable[[str], None]:
    """
    Return the function that is called at each point.

    Raises:
        UsageError: the variable names no point, or its number is not a positive integer.
    """
    chosen = environ.get(VARIABLE)
    if not chosen:
        return _nothing
    name, _, passage = chosen.partition(":")
    if name not in POINTS:
        raise UsageError(f"${VARIABLE}: {name!r:.60} is no crash point{did_you_mean(name, POINTS)}")
    if not (passage.isascii() and passage.isdecimal() and int(passage)):
        raise UsageError(
            f"${VARIABLE}: {passage!r:.60} is not a positive number of passages", hint=f"such as {name}:1"
        )
    passages, last = count(1), int(passage)

    def kill(point: str) -> None:
        if point == name and next(passages) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill


passed = from_environment(os.environ)
