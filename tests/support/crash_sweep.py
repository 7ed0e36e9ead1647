"""
A sweep over crash points: a daemon is killed at one point after the other. Each start recovers from the kill
before it, and is killed at the next point. At the end the checker judges all of it.
"""

import contextlib
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa

from tests.support.checker import gaps, violations
from tests.support.daemon import DaemonProcess, eventually
from tests.support.ledgers import opened
from tests.support.moments import PATIENCE_S, wait_until
from tests.support.target import TargetServer
from tminus.clock import SystemClock
from tminus.crash_points import VARIABLE
from tminus.instants import MS, SECOND
from tminus.ledger import journal
from tminus.ledger.journal import JournalPlace
from tminus.ledger.journal_records import from_record
from tminus.ledger.tables import occurrences
from tminus.model.batch import OccurrenceResult

#: Points that come in a row, so that each kill makes what the next one needs.
GROUPS: dict[str, Sequence[str]] = {
    "start": (
        *("migration-before-commit", "migration-after-commit", "recovery", "recovered"),
        *("unknown-before-commit", "unknown-after-commit"),
        *("schedules-before-commit", "schedules-after-commit"),
        *("request-before-commit", "request-after-commit"),
    ),
    "batch": (
        *("collect", "claim-before-commit", "claim-after-commit", "armed", "releasing-before-commit"),
        *("releasing-after-commit", "permitted", "released", "high-water-before-commit"),
        "high-water-after-commit",
    ),
    "outcome": (
        *("outcome-before-commit", "outcome-after-commit", "retry-before-commit", "retry-after-commit"),
        *("journal-append", "journal-appended", "journal-replay", "journal-replayed"),
    ),
    "after": (
        *("link-before-commit", "link-after-commit", "notices-before-commit", "notices-after-commit"),
        *("unstarted-before-commit", "unstarted-after-commit"),
        *("backlog-before-commit", "backlog-after-commit"),
    ),
}
#: Points that a start passes only if a fire time has passed before it.
_OF_OVERDUE = ("unstarted-", "backlog-")
#: Points that a process passes once at most, and those that need a journal of the process before.
ONCE = {
    *(point for point in GROUPS["start"] if not point.startswith("request-")),
    *("journal-replay", "journal-replayed"),
    *(point for point in GROUPS["after"] if point.startswith(_OF_OVERDUE)),
}
_RETRIED = ("flaky",)
#: Later than that after its fire time, no job of the sweep starts on time.
_LATE_NS = 400 * MS
_EVERY_SECOND = ("tick", "strict", "flaky")


class NotPassed(AssertionError):
    """The daemon was not killed, because it has not passed the point."""


def jobs_of(url: str) -> str:
    """Return a jobs file whose daemon passes all points within seconds, whenever it starts."""
    late = "misfire_grace_time: 300ms, catchup_window: 1h, max_catchup: 3, coalesce: all"
    chain = "then: [{callback: {run: follow}}]"
    again = "retry: {max_attempts: 2, initial_interval: 50ms, max_interval: 100ms}"
    every = "schedule: {every: 1s}, overlap: allow_all"
    return f"""version: 1
timezone: UTC
daemon: {{lead: 700ms, reload: sighup}}
notify: {{ops: {{webhook: '{url}/ops'}}}}
jobs:
  tick: {{{every}, http: '{url}/ok', {late}, {chain}}}
  strict: {{{every}, http: '{url}/ok', misfire_grace_time: 100ms}}
  flaky: {{{every}, http: '{url}/status/503', {again}, notify: ops}}
  follow: {{schedule: manual, http: '{url}/ok', overlap: allow_all}}
  asked: {{schedule: manual, http: '{url}/ok', overlap: allow_all}}
"""


class Sweep:
    """
    One ledger, and the daemons that are killed on it.

    Args:
        folder: A folder of its own.
        ledger: The URL of the ledger; None for a new SQLite file.
        target: The server that receives the requests.
    """

    def __init__(self, folder: Path, target: TargetServer, *, ledger: str | None = None) -> None:
        self.asked = 0
        self._target = target
        self._environment = {"XDG_STATE_HOME": str(folder / "state")}
        url = ledger or f"sqlite:///{folder}/ledger/ledger.db"  # which the daemon creates
        self._daemon = DaemonProcess(folder, jobs_of(target.url), ledger=url, env=self._environment)
        self._kept: set[str] = set()

    def kill_at(self, point: str, passage: int = 1, *, patience_s: float = PATIENCE_S) -> None:
        """
        Start the daemon and let it be killed there.

        Raises:
            NotPassed: it did not pass that point so often.
        """
        one = self._daemon
        if point.startswith("request-"):
            for _ in range(passage):
                assert one.tminus("run-now", "asked", "--no-wait").returncode == 0
            self.asked += passage
        if point.startswith(_OF_OVERDUE):
            now_ns = SystemClock().wall_ns()
            wait_until(now_ns - now_ns % SECOND + SECOND + _LATE_NS)
        starts = len(one.said("ready"))
        self._environment[VARIABLE] = f"{point}:{passage}"
        try:
            one.start(wait=False)
        finally:
            del self._environment[VARIABLE]
        with contextlib.ExitStack() as stack:
            if point in ("journal-append", "journal-appended"):
                one.wait_until_said("ready", starts + 1)
                eventually(self._has_released, what="a batch is released")
                stack.enter_context(self._refusing_writes())
            try:
                status = one.wait(patience_s)
            except subprocess.TimeoutExpired:
                one.kill()
                raise NotPassed(f"{point}:{passage} was not passed within {patience_s:g} s") from None
        if status != -9:
            raise NotPassed(f"{point}:{passage}: the daemon ended with {status}: {one.log()[-3:]}")
        self._kept |= self._in_journals()

    def finish(self) -> list[str]:
        """Start once more, let everything end, and stop; return a sentence for each violation."""
        one = self._daemon
        one.start()
        before = len(one.occurrences("tick"))
        one.wait_for(job="tick", rows=before + 3, state="finished")
        status = one.stop()
        every = one.occurrences()
        waiting = {row["id"] for row in every if self._waits(row)}
        rows = [row for row in every if row["id"] not in waiting]
        sent = [
            arrival
            for arrival in self._target.arrivals
            if arrival.headers.get("x-tminus-occurrence") not in {*waiting, None}
        ]
        found = violations(rows, sent, retried=_RETRIED)
        found += gaps([row for row in rows if row["job"] in _EVERY_SECOND], every_s=1)
        found += [f"the last daemon ended with {status}"] if status else []
        causes = Counter(row["cause"] for row in every if row["job"] == "follow")
        starting = {row["id"] for row in rows if row["chain"] and row["chain"][0]["state"] == "succeeded"}
        found += [f"{name} has started {times} jobs" for name, times in causes.items() if times > 1]
        found += [f"the job that {name} has started is not there" for name in starting - causes.keys()]
        asked = sum(row["job"] == "asked" for row in every)
        found += [f"{self.asked} run-nows have {asked} rows"] if asked != self.asked else []
        unknown = {row["id"] for row in rows if row["outcome"] == "unknown"}
        found += [f"{name} was in the journal, and is unknown" for name in self._kept & unknown]
        found += [f"{file.name} was left behind" for file in self._place().find()]
        return found

    def close(self) -> None:
        """Kill the daemon if it still runs."""
        self._daemon.close()

    @staticmethod
    def _waits(row: dict[str, object]) -> bool:
        """Whether it, or its next attempt, is left to the next start."""
        return row["state"] in ("queued", "claimed") or row["next_attempt_at"] is not None

    def _has_released(self) -> bool:
        assert not self._daemon.has_ended(), self._daemon.log()[-3:]
        return any(row["state"] == "running" for row in self._daemon.occurrences())

    @contextlib.contextmanager
    def _refusing_writes(self) -> Iterator[None]:
        """Nobody else writes outcomes within the block."""
        with opened(self._daemon.ledger) as ledger, ledger.write() as connection:
            if ledger.path is None:
                connection.execute(sa.text(f"LOCK TABLE {occurrences.name} IN EXCLUSIVE MODE"))
            yield

    def _place(self) -> JournalPlace:
        with opened(self._daemon.ledger) as ledger:
            return JournalPlace.of(ledger.url, ledger.path, self._environment)

    def _in_journals(self) -> set[str]:
        """The occurrences whose outcomes are durable in a journal."""
        if not self._daemon.said("ready"):
            return set()
        found: set[str] = set()
        for file in self._place().find():
            with contextlib.suppress(journal.NotAJournal):
                items = map(from_record, journal.read(file).records)
                found |= {str(item.id) for item in items if isinstance(item, OccurrenceResult)}
        return found
