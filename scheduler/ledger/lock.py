"""The lock of a ledger: one process at a time runs jobs on it. A lock file beside SQLite, an advisory lock in PostgreSQL."""

import fcntl
import os
import threading
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from scheduler.ledger.engine import Ledger, in_our_words
from scheduler.ledger.files import explain_lock, lock_file, open_lock

#: A number that no other program takes in this database, and no other ledger: one may lie in each schema.
_TRY = sa.text("SELECT pg_try_advisory_lock(hashtextextended('tminus ' || current_schema(), 0))")
_IS_HELD = sa.text("""
    SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND ((classid::bigint << 32) | objid::bigint) = hashtextextended('tminus ' || current_schema(), 0)
""")
#: Who only looks holds the lock file for a moment, too: who is refused tries again.
_TRIES = 5
_PAUSE_S = 0.02


class Lock(Protocol):
    """Held from `acquire` to `release` or to the end of the process, however it ends. Belongs to one thread."""

    def acquire(self) -> bool:
        """
        Take it; False where another process has it.

        Raises:
            LedgerError: nobody can say, for the ledger does not work.
        """

    def release(self) -> None:
        """Give it back, if it is held."""


def lock_of(ledger: Ledger) -> Lock:
    """The lock of this ledger, not yet taken."""
    return _AdvisoryLock(ledger) if ledger.path is None else _FileLock(ledger.path)


def is_held(ledger: Ledger) -> bool:
    """
    Whether some process has it, without taking it.

    Raises:
        LedgerError: nobody can say, for the ledger does not work.
    """
    if ledger.path is None:
        with ledger.read() as connection:
            return connection.execute(_IS_HELD).first() is not None
    try:
        descriptor = os.open(lock_file(ledger.path), os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise explain_lock(ledger.path, lock_file(ledger.path), error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class _FileLock:
    """flock(2): the kernel gives it back when the process ends, even by kill -9."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        descriptor = open_lock(self._path, lock_file(self._path))
        for _ in range(_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                threading.Event().wait(_PAUSE_S)
            else:
                self._descriptor = descriptor
                return True
        os.close(descriptor)
        return False

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class _AdvisoryLock:
    """A lock of the connection's session: PostgreSQL gives it back when the connection ends."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._connection: Connection | None = None

    def acquire(self) -> bool:
        connection = self._ledger.own_connection()
        try:
            with in_our_words(self._ledger.url):
                if connection.execute(_TRY).scalar_one():
                    self._connection = connection
        finally:
            if self._connection is None:
                connection.close()
        return self._connection is not None

    def release(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
