"""
The lock of a ledger: one process at a time runs jobs on it. In PostgreSQL it is an advisory lock. On SQLite
it is a byte of the database's own file, and a lock file beside it, which other programs can look at.

Waiters queue: daemons come before any `run-now`, otherwise the first waiter comes first. When a process ends,
in whatever way, it leaves the queue and its lock is free.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from sqlalchemy.engine import Connection

from tminus.clock import SystemClock
from tminus.errors import LedgerError, LedgerLost
from tminus.instants import MS
from tminus.ledger import advisory_lock, files
from tminus.ledger.byte_locks import ByteLocks
from tminus.ledger.engine import Ledger
from tminus.ledger.waiting import wait_for

#: SQLite locks bytes near 2**30. Named locks have those from 2**61 on, tickets of waiters those from 2**62
#: on.
_LOCK = 1 << 60
_QUEUE = 1 << 62
_QUEUE_OF_RUN_NOW = _QUEUE + (1 << 61)
#: How long a process that only checks the lock file may hold it.
_CHECK_NS = 100 * MS
_PAUSE_NS = 20 * MS
#: The time between two attempts of a waiter to take the lock.
RETRY_NS = 200 * MS


class Lock(Protocol):
    """
    Held from `acquire` to `release` or to the end of the process. Only `check` is thread-safe.

    Attributes:
        losses: How often the lock was lost and taken again.
    """

    losses: int

    def acquire(self) -> bool:
        """
        Take the lock if it is free and no waiter comes first. Otherwise stay in the queue until `release`,
        and return False.

        Raises:
            LedgerError: the ledger does not work.
        """

    def check(self, connection: Connection) -> None:
        """
        Check, in a transaction that writes, that the lock is still held. If it was lost, take it again.

        Raises:
            LedgerLost: it was lost, and another process has it or had it meanwhile; or this process has
                released it.
            LedgerError: it was lost, and cannot be taken again now.
        """

    def release(self) -> None:
        """Release the lock if it is held, and leave the queue."""


def lock_of(ledger: Ledger, *, goes_first: bool = False) -> Lock:
    """
    Return the lock of a ledger, which is not taken yet.

    Args:
        ledger: The open ledger.
        goes_first: Whether this is a daemon, which waits for no waiter except other daemons.
    """
    if ledger.path is None:
        return advisory_lock.AdvisoryLock(ledger, goes_first=goes_first)
    return _FileLock(ledger.path, first_ticket=_QUEUE if goes_first else _QUEUE_OF_RUN_NOW)


def wait_in_queue(lock: Lock, *, pause: Callable[[int], object]) -> Iterator[None]:
    """
    Yield after each attempt to take the lock that fails, and pause before the next one; end when it is taken.

    Args:
        lock: The lock.
        pause: Waits this long, in nanoseconds.

    Raises:
        LedgerError: the ledger does not work.
    """
    while not lock.acquire():
        yield
        pause(RETRY_NS)


def is_held(ledger: Ledger) -> bool:
    """
    Return whether a process has the lock, without taking it.

    Raises:
        LedgerError: the ledger does not work.
    """
    if ledger.path is None:
        return advisory_lock.is_held(ledger)
    locks = ByteLocks(ledger.path)
    try:
        return locks.is_taken(_LOCK, _LOCK + 1) or _is_locked(ledger.path)
    finally:
        locks.close()


def _is_locked(path: Path) -> bool:
    """Return whether the lock file is locked: an older tminus has no other lock."""
    descriptor = files.open_lock(path, create=False)
    if descriptor is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class _FileLock:
    def __init__(self, path: Path, *, first_ticket: int) -> None:
        self.losses = 0
        self._path = path
        self._first_ticket = first_ticket
        self._ticket: int | None = None
        self._bytes: ByteLocks | None = None
        self._file: int | None = None

    def acquire(self) -> bool:
        if self._bytes is None:
            self._bytes = ByteLocks(self._path)
        if self._ticket is None:
            self._ticket = self._first_ticket + SystemClock.monotonic_ns()
            while not self._bytes.take(self._ticket):
                self._ticket += 1
        if self._bytes.is_taken(_QUEUE, self._ticket) or not self._bytes.take(_LOCK):
            return False
        if not self._lock_file():
            self._bytes.give_back(_LOCK)
            return False
        self._bytes.give_back(self._ticket)
        self._ticket = None
        return True

    def check(self, connection: Connection) -> None:
        file = self._file
        if file is None:
            raise LedgerLost("this process has released the lock of the ledger")
        if files.identity(files.lock_file(self._path)) == files.identity(file):
            return
        # The byte is held, so no other process runs jobs here, except one of an older tminus.
        try:
            is_locked = self._lock_file()
        except LedgerError:
            return  # no lock file can be created here now
        if not is_locked:
            raise LedgerLost(
                f"the lock file of {self._path} was replaced, and another process has locked the new one"
            )
        os.close(file)
        self.losses += 1

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._bytes is not None:
            self._bytes.close()
            self._bytes = self._ticket = None

    def _lock_file(self) -> bool:
        descriptor = files.open_lock(self._path)

        def lock() -> bool:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        if wait_for(lock, until_ns=SystemClock.monotonic_ns() + _CHECK_NS, pause_ns=_PAUSE_NS):
            self._file = descriptor
            return True
        os.close(descriptor)
        return False
