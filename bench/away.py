"""
A database goes away under load, and comes back. What was claimed is not missed, and each outcome is there.

Fifty requests are due every few seconds, and a web worker submits background runs. Meanwhile PostgreSQL is
stopped at once, or its processes are paused, or another process holds the write lock of SQLite.
"""

import contextlib
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import sqlalchemy as sa
from pysqlite3 import dbapi2

from bench.arrivals import read_log
from bench.installed import NotInstalled
from bench.killed import APP
from bench.machine import ROOT
from bench.memory import family
from bench.server import Server, courses
from bench.table import Verdict, none_of
from bench.tminus_run import Daemon, at, jobs_text
from bench.torture.faults import stopped
from bench.torture.server import PrivateServer, private_server
from bench.waiting import SECOND, eventually, pause
from bench.web_server import Refused, gunicorn, submit
from tminus.ledger.engine import Ledger, open_ledger
from tminus.ledger.tables import occurrences, runs

SECONDS = 60.0
_JOBS = 50
_EVERY_S = 3
#: The load before the database goes away: several batches, and those of the next seconds are claimed.
_BEFORE_S = 12
_AFTER_S = 15
_SUBMIT_EVERY_S = 0.3
_RECOVERY_S = 180.0

_Way = Callable[[float], None]


@dataclass(slots=True)
class _Submits:
    """A client of the web worker, on a thread of its own until it is stopped."""

    port: int
    accepted: list[str] = field(default_factory=list)  #: ids
    refused: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def go_on(self) -> None:
        """Submit one run after another."""
        number = 0
        while not self.stopped.wait(_SUBMIT_EVERY_S):
            number += 1
            try:
                self.accepted.append(submit(self.port, number))
            except Refused:
                self.refused += 1


def measure(away_s: float, seed: int) -> list[Verdict]:
    """
    Take the database away for this long, in each way. Print the figures, and judge them.

    Args:
        seed: Selects the moment, relative to a batch.
    """
    random, verdicts = Random(seed), list[Verdict]()
    print(f"databases that are away for {away_s:g} s; seed {seed}", flush=True)
    for name in ("SQLite, locked", "PostgreSQL, stopped", "PostgreSQL, paused"):
        with tempfile.TemporaryDirectory(prefix="tminus-away-") as text:
            folder = Path(text)
            try:
                with contextlib.ExitStack() as stack:
                    url, way = _database(name, folder, stack)
                    before_s = _BEFORE_S + random.uniform(0, _EVERY_S)
                    verdicts += _round(name, folder, url, way, before_s=before_s, away_s=away_s)
            except NotInstalled as error:
                verdicts.append(Verdict(True, f"{name}: left out: {error}"))
    return verdicts


def _database(name: str, folder: Path, stack: contextlib.ExitStack) -> tuple[str, _Way]:
    """Return the URL of a new ledger, and a function that takes its database away for some seconds."""
    if name.startswith("SQLite"):
        file = folder / "ledger" / "ledger.db"
        return f"sqlite:///{file}", lambda seconds: _lock(file, seconds)
    server = stack.enter_context(private_server(folder))
    if name.endswith("stopped"):
        return server.url, lambda seconds: server.restart("immediate", seconds)
    return server.url, lambda seconds: _pause(server, seconds)


def _lock(file: Path, seconds: float) -> None:
    with contextlib.closing(dbapi2.connect(file, isolation_level=None, timeout=60)) as other:
        other.execute("BEGIN IMMEDIATE")
        pause(seconds)
        other.execute("ROLLBACK")


def _pause(server: PrivateServer, seconds: float) -> None:
    """Stop the processes of the server, and let them go on."""
    with contextlib.ExitStack() as stack:
        for pid in family(server.pid) if server.pid else ():
            stack.enter_context(stopped(pid))
        pause(seconds)


def _round(name: str, folder: Path, url: str, way: _Way, *, before_s: float, away_s: float) -> list[Verdict]:
    app = {"app": APP, "directory": str(ROOT), "background": 32}
    with (
        Server(folder / "server", log=True) as server,
        socket.create_server(("127.0.0.1", 0)) as door,
    ):
        course = next(courses(server, "away"))
        text = jobs_text(
            [f"{course.url}{index}" for index in range(_JOBS)],
            {"every": f"{_EVERY_S}s"},
            apps={"background_app": app},
            # What was claimed runs late, all of it: nothing is too late, and nothing is in the way.
            overlap="allow_all",
            misfire_grace_time=f"{round(away_s + _RECOVERY_S)}s",
        )
        one = Daemon(folder, text, ledger=url, BENCH_NOTES=str(folder / "notes"))
        with contextlib.ExitStack() as stack:
            stack.callback(one.kill)
            one.start()
            stack.enter_context(
                gunicorn(APP, door, folder=ROOT, log=folder / "gunicorn.log", ledger=one.ledger)
            )
            submits = _Submits(door.getsockname()[1])
            thread = threading.Thread(target=submits.go_on, name="submits")
            thread.start()
            stack.callback(thread.join)
            stack.callback(submits.stopped.set)
            pause(before_s)
            ledger = stack.enter_context(contextlib.closing(open_ledger(url, create=False)))
            claimed = eventually(lambda: _claimed(ledger), timeout_s=_RECOVERY_S) or set()
            print(f"  {name}: {len(claimed)} claimed, and away for {away_s:g} s", flush=True)
            way(away_s)
            back_ns = time.time_ns()
            first = eventually(lambda: _next_start(ledger, back_ns), timeout_s=_RECOVERY_S)
            pause(_AFTER_S)
            submits.stopped.set()
            thread.join()
            eventually(lambda: not _open_before(ledger, back_ns), timeout_s=_RECOVERY_S, every_s=0.5)
            eventually(lambda: not _open_runs(ledger), timeout_s=_RECOVERY_S, every_s=0.5)
            status = one.stop()
            rows = {row["id"]: row["outcome"] for row in one.ask("history", "--limit", "1000000")}
            ended = _background(ledger)
    arrived = Counter(arrival.occurrence for arrival in read_log(server.log_file) if arrival.occurrence)
    back = "never" if first is None else f"{(first - back_ns) / SECOND:.1f} s after it was back"
    print(f"    the first start: {back}; outcomes: {dict(Counter(rows.values()))}")
    print(f"    {len(submits.accepted)} submits accepted, {submits.refused} refused", flush=True)
    ran = {one for one, outcome in rows.items() if outcome == "succeeded"}
    return [
        Verdict(status == 0, f"{name}: tminus daemon ended with {status}"),
        Verdict(len(claimed) > 0, f"{name}: {len(claimed)} were claimed when the database went away"),
        none_of(
            f"{name}: claimed before and missed",
            (i for i in claimed if rows.get(i) == "missed"),
            len(claimed),
        ),
        none_of(f"{name}: claimed before and not succeeded", claimed - ran, len(claimed)),
        none_of(f"{name}: arrived, and without a row", arrived.keys() - rows.keys(), len(arrived)),
        none_of(f"{name}: arrived more than once", (i for i, n in arrived.items() if n > 1), len(arrived)),
        none_of(f"{name}: rows without an outcome", (i for i, o in rows.items() if o is None), len(rows)),
        none_of(f"{name}: unknown", (i for i, o in rows.items() if o == "unknown"), len(rows)),
        none_of(
            f"{name}: submits accepted and not succeeded",
            (i for i in submits.accepted if ended.get(i) != "succeeded"),
            len(submits.accepted),
        ),
    ]


def _claimed(ledger: Ledger) -> set[str]:
    """Return the ids of the scheduled occurrences that are claimed or running."""
    query = sa.select(occurrences.c.job, occurrences.c.fire_time_ns).where(
        occurrences.c.outcome.is_(None), occurrences.c.origin == "schedule"
    )
    with ledger.read() as connection:
        return {f"{job}@{at(fire_time_ns)}" for job, fire_time_ns in connection.execute(query)}


def _next_start(ledger: Ledger, since_ns: int) -> int | None:
    """Return when the first request has started since then; None if none has."""
    query = sa.select(sa.func.min(occurrences.c.started_at_ns)).where(
        occurrences.c.started_at_ns >= since_ns, occurrences.c.origin == "schedule"
    )
    with ledger.read() as connection:
        first: int | None = connection.scalar(query)
    return first


def _open_before(ledger: Ledger, before_ns: int) -> int:
    query = sa.select(sa.func.count()).where(
        occurrences.c.outcome.is_(None), occurrences.c.planned_at_ns < before_ns
    )
    with ledger.read() as connection:
        return connection.scalar(query) or 0


def _open_runs(ledger: Ledger) -> int:
    query = sa.select(sa.func.count()).where(
        occurrences.c.outcome.is_(None), occurrences.c.origin == "background"
    )
    with ledger.read() as connection:
        return connection.scalar(query) or 0


def _background(ledger: Ledger) -> dict[str, str | None]:
    """Return the outcome of each background run, by the id that its web worker knows."""
    query = sa.select(runs.c.id, occurrences.c.outcome).join(
        occurrences, occurrences.c.id == runs.c.occurrence
    )
    with ledger.read() as connection:
        return dict(connection.execute(query).tuples().all())
