"""Ledgers with contents, and other processes that use them."""

import contextlib
import os
import signal
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import URL

from tests.support.values import a_due, a_job, an_ending
from tminus.errors import LedgerError, LockTimeout, TminusError
from tminus.instants import MS, SECOND
from tminus.ledger import claims, instances, outcomes, retention, state
from tminus.ledger.engine import Ledger, open_ledger
from tminus.ledger.file_errors import explain
from tminus.ledger.lock import lock_of
from tminus.ledger.named_locks import acquire
from tminus.ledger.tables import releases
from tminus.model.batch import BatchClaim, DueOccurrence, OccurrenceResult, UnstartedResult
from tminus.model.occurrence import Attempt, OccurrenceId
from tminus.outcome import Outcome

T = 1_763_638_200 * SECOND  # 2025-11-20T11:30:00Z


def run_batch(
    ledger: Ledger,
    offsets_ms: Sequence[float],
    *,
    planned_at_ns: int = T,
    outcome: Outcome = Outcome.SUCCEEDED,
) -> list[OccurrenceId]:
    """Write a batch that has run: one job per offset, named `job_0`, `job_1`, …"""
    due_occurrences = [
        a_due(a_job(f"job_{index}"), fire_time_ns=planned_at_ns) for index in range(len(offsets_ms))
    ]
    instance = instances.register(ledger, kind="daemon", config_version=None, now_ns=planned_at_ns - SECOND)
    release = claims.claim(
        ledger, due_occurrences, planned_at_ns=planned_at_ns, instance=instance, token=uuid.uuid4().hex
    )
    claims.commit(ledger, release, withdrawn=[], now_ns=planned_at_ns - 250 * MS)
    ended = []
    for due, offset_ms in zip(due_occurrences, offsets_ms, strict=True):
        started_ns = planned_at_ns + round(offset_ms * MS)
        reason = None if outcome is Outcome.SUCCEEDED else "status: 503 instead of 2xx"
        attempt = Attempt(
            attempt=1,
            started_at_ns=started_ns,
            finished_at_ns=started_ns + 5 * MS,
            duration_ns=5 * MS,
            armed=True,
            outcome=outcome,
            reason=reason,
            http_status=200 if outcome is Outcome.SUCCEEDED else 503,
            headers=("HTTP/1.1 503 X", "Content-Length: 4"),
            body=b"" if outcome is Outcome.SUCCEEDED else b"busy",
            body_size=4,
        )
        finished_at_ns = attempt.finished_at_ns
        ended.append(
            OccurrenceResult(
                id=due.id,
                outcome=outcome,
                reason=reason,
                finished_at_ns=finished_at_ns,
                executor="http-1@here",
                attempts=(attempt,),
            )
        )
    outcomes.record(ledger, ended)
    return [due.id for due in due_occurrences]


def an_instance(ledger: Ledger, *, kind: str = "daemon", now_ns: int = T - 60 * SECOND) -> str:
    """Register a process that runs jobs on this ledger; return its id."""
    return instances.register(ledger, kind=kind, config_version=None, now_ns=now_ns)


def dues_of(*names: str, fire_time_ns: int = T, **different: Any) -> list[DueOccurrence]:
    """Return occurrences of jobs with these names, all at the same T."""
    return [a_due(a_job(name), fire_time_ns=fire_time_ns, **different) for name in names]


def claim(
    ledger: Ledger,
    due_occurrences: Sequence[DueOccurrence],
    *,
    instance: str | None = None,
    token: str | None = None,
) -> BatchClaim:
    """Claim these occurrences, as a daemon does."""
    whose = {"instance": instance or an_instance(ledger), "token": token or uuid.uuid4().hex}
    return claims.claim(ledger, due_occurrences, planned_at_ns=due_occurrences[0].planned_at_ns, **whose)


def commit(
    ledger: Ledger, release: BatchClaim, *, withdrawn: Sequence[UnstartedResult] = ()
) -> frozenset[OccurrenceId]:
    """Write `releasing` a moment before T."""
    return claims.commit(ledger, release, withdrawn=withdrawn, now_ns=release.planned_at_ns - 250 * MS)


def let_go(ledger: Ledger, *names: str, fire_time_ns: int = T) -> list[DueOccurrence]:
    """Claim and commit occurrences; return them without an outcome."""
    due_occurrences = dues_of(*names, fire_time_ns=fire_time_ns)
    commit(ledger, claim(ledger, due_occurrences))
    return due_occurrences


def prune_all(ledger: Ledger, *, before_ns: int, keep_last: int | None = None) -> list[int]:
    """Delete old history to the end; return the number of rows that each piece has deleted."""
    return list(retention.prune(ledger, before_ns=before_ns, keep_last=keep_last))


def full_url(url: URL) -> str:
    """Return the URL of a ledger as text, with its password, for another process."""
    return url.render_as_string(hide_password=False)


def count(ledger: Ledger, table: sa.Table) -> int:
    """Return the number of rows of a table."""
    with ledger.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def released(ledger: Ledger) -> set[int]:
    """Return the T of each batch that may have been sent."""
    with ledger.read() as connection:
        return set(
            connection.scalars(
                sa.select(releases.c.planned_at_ns).where(releases.c.releasing_ns.is_not(None))
            )
        )


@contextmanager
def opened(url: str) -> Iterator[Ledger]:
    """Open a ledger, and close it at the end."""
    ledger = open_ledger(url)
    try:
        yield ledger
    finally:
        ledger.close()


def write_batches(pipe: Connection, url: str, first: int, jobs: int) -> None:
    """In another process: write batch after batch, and report each as soon as it is durable."""
    with opened(url) as ledger:
        instance = an_instance(ledger)
        number = first
        while True:
            due_occurrences = dues_of(
                *(f"job_{index}" for index in range(jobs)), fire_time_ns=T + number * SECOND
            )
            release = claim(ledger, due_occurrences, instance=instance)
            pipe.send(("claimed", number))
            commit(ledger, release)
            pipe.send(("released", number))
            outcomes.record(ledger, [an_ending(due) for due in due_occurrences])
            pipe.send(("recorded", number))
            number += 1


def race_for(pipe: Connection, url: str, names: Sequence[str], rounds: int) -> None:
    """
    In another process: claim the same batches as others at the same time; report the claimed occurrences.
    """
    with opened(url) as ledger:
        instance = an_instance(ledger)
        pipe.send("ready")
        pipe.recv()
        got = [
            _insist(ledger, dues_of(*names, fire_time_ns=T + number * SECOND), instance)
            for number in range(rounds)
        ]
        pipe.send([str(identity) for claimed in got for identity in claimed])


def _insist(
    ledger: Ledger, due_occurrences: Sequence[DueOccurrence], instance: str
) -> frozenset[OccurrenceId]:
    while True:
        try:
            release = claim(ledger, due_occurrences, instance=instance)
            return commit(ledger, release)
        except LedgerError:
            continue


def make_older(url: str, schema: str) -> None:
    """Create a ledger with the schema of an older version."""
    path = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else None
    if path is not None:
        assert not path.exists(), "it would stay as new as it is"
        path.parent.mkdir(parents=True, exist_ok=True)
    engine, config = sa.create_engine(url), Config()
    config.set_main_option("script_location", "tminus.ledger:migrations")
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, schema)
    engine.dispose()


@contextmanager
def one_commit_raises(ledger: Ledger, *, is_durable: bool = True) -> Iterator[None]:
    """Make the next commit within the block raise, whether it is durable or not."""
    dialect: Any = ledger._reader.dialect
    original, left = dialect.do_commit, [1]

    def do_commit(connection: Any) -> None:
        if not left:
            original(connection)
            return
        left.pop()
        if is_durable:
            original(connection)
        raise dialect.dbapi.OperationalError("the connection was lost in COMMIT")

    dialect.do_commit = do_commit
    try:
        yield
    finally:
        dialect.do_commit = original
    assert not left


def open_it(pipe: Connection, url: str, group: str | None = None) -> None:
    """In another process: open a ledger when told to, write to it, and report the result."""
    pipe.send("ready")
    pipe.recv()
    try:
        ledger = open_ledger(url, group=group)
        an_instance(ledger)
        lock = lock_of(ledger)
        held = lock.acquire()
        lock.release()
        ledger.close()
        pipe.send("opened" if held else "opened, and found it locked")
    except TminusError as error:
        pipe.send(error.message)


def load_all_modules() -> None:
    """
    Import all that a ledger needs, also to explain its errors: another user may not be allowed to read the
    modules.
    """
    with tempfile.TemporaryDirectory() as folder, opened(f"sqlite:///{folder}/ledger.db") as ledger:
        an_instance(ledger)
        lock = lock_of(ledger)
        lock.acquire()
        lock.release()
    with contextlib.suppress(LedgerError):
        open_ledger(f"sqlite:///{folder}/ledger.db", create=False)
    explain(Path("/"), "nothing")
    for whose in (Path.owner, Path.group):
        whose(Path("/"))


def hold_lock(pipe: Connection, url: str) -> None:
    """
    In another process: take the lock, report whether that succeeded, and hold it until told to release it.
    """
    with opened(url) as ledger:
        lock = lock_of(ledger)
        pipe.send(lock.acquire())
        pipe.recv()
        lock.release()
        pipe.send("released")
        pipe.recv()


def hold_writer(pipe: Connection, url: str) -> None:
    """In another process: keep a writing transaction open until told to end it."""
    with opened(url) as ledger, ledger.write() as connection:
        connection.execute(releases.delete())
        pipe.send("writing")
        pipe.recv()


def hold_named_lock(
    pipe: Connection, url: str, *names: str, timeout_ns: int = 20 * SECOND, forks: bool = False
) -> None:
    """
    In another process: take the application's locks, report that or the error, and hold them until told to
    release them.
    """
    with opened(url) as ledger:
        try:
            give_back = [acquire(ledger, "shop", name, timeout_ns) for name in names]
        except LockTimeout as error:
            pipe.send(error.message)
            return
        if forks and (child := os.fork()) == 0:
            pipe.close()
            signal.pause()
        pipe.send(child if forks else "held")
        pipe.recv()
        for one in give_back:
            one()


def count_up(pipe: Connection, url: str, threads: int, times: int) -> None:
    """In another process: let threads count the same counter, and report what each step returned."""
    with opened(url) as ledger, ThreadPoolExecutor(threads) as pool:
        pipe.send(list(pool.map(lambda _: state.incr(ledger, "shop", "votes", 1), range(threads * times))))
