"""
Locks by name, which end with the process that holds them. On SQLite a lock is a byte of the database's own
file, on PostgreSQL an advisory lock of a connection of its own. Within a process, a set of the taken names
keeps threads apart.
"""

import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from tminus.clock import SystemClock
from tminus.errors import LockTimeout
from tminus.instants import MS, SECOND
from tminus.ledger.byte_locks import ByteLocks
from tminus.ledger.db_errors import translate_db_errors
from tminus.ledger.engine import Ledger
from tminus.ledger.waiting import wait_for

#: Time between two tries for the byte: little work, and no wait that anybody notices.
_PAUSE_NS = 10 * MS
#: The server waits for the lock, and notices soon that a host has gone.
_PREPARE = sa.text("""
    SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', :wait_ms, false),
           set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
           set_config('tcp_keepalives_count', '3', false)
""")
_KEY = "hashtextextended('tminus lock ' || current_schema() || ' ' || :key, 0)"
_TAKE = sa.text(f"SELECT pg_advisory_lock({_KEY})")
_GIVE_BACK = sa.text(f"SELECT pg_advisory_unlock({_KEY})")
_NOT_AVAILABLE = "55P03"  # PostgreSQL's lock_not_available


class _HeldLocks:
    """
    The locks of this process, and the connections that hold them or wait for them. Thread-safe.

    Only the thread that has added a lock waits for the kernel or the server.
    """

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._locks: set[tuple[object, str]] = set()  #: by ledger and key
        self._sockets: set[int] = set()
        self._is_registered = False

    def add(self, lock: tuple[object, str], until_ns: int) -> bool:
        """Add a lock as soon as no other thread has it; return False if that takes longer."""
        if not self._is_registered:  # before the condition is held: a child replaces it
            os.register_at_fork(after_in_child=self._close_parents)
            self._is_registered = True
        with self._free:
            left_ns = max(until_ns - SystemClock.monotonic_ns(), 0)
            if not self._free.wait_for(lambda: lock not in self._locks, left_ns / SECOND):
                return False
            self._locks.add(lock)
            return True

    def remove(self, lock: tuple[object, str]) -> None:
        """Remove a lock, for the next thread."""
        with self._free:
            self._locks.discard(lock)
            self._free.notify_all()

    def add_socket(self, socket: int) -> None:
        """Add the socket of a connection."""
        self._sockets.add(socket)

    def remove_socket(self, socket: int) -> None:
        """Remove the socket of a connection that is closed."""
        self._sockets.discard(socket)

    def _close_parents(self) -> None:
        """Close the parent's connections in a child: otherwise their locks would outlive the parent."""
        self._free = threading.Condition()
        self._locks.clear()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for socket in self._sockets:
            os.dup2(nowhere, socket, inheritable=False)
        os.close(nowhere)
        self._sockets.clear()


_held = _HeldLocks()


def acquire(ledger: Ledger, app: str, name: str, timeout_ns: int) -> Callable[[], None]:
    """
    Take a lock; wait for it at most `timeout_ns`. Thread-safe.

    Returns:
        A function that releases the lock, once, from any thread. In a process that was forked meanwhile it
        does nothing.

    Raises:
        LockTimeout: the lock was not free in time.
        LedgerError: the ledger does not work.
    """
    until_ns = SystemClock.monotonic_ns() + timeout_ns
    key, process = json.dumps([app, name]), os.getpid()
    lock = (ledger.url if ledger.path is None else ledger.path, key)
    if not _held.add(lock, until_ns):
        raise _timed_out(name, timeout_ns)
    try:
        unlock = (
            _acquire_advisory(ledger, key, until_ns)
            if ledger.path is None
            else _acquire_byte(ledger.path, key, until_ns)
        )
    except BaseException:
        _held.remove(lock)
        raise
    if unlock is None:
        _held.remove(lock)
        raise _timed_out(name, timeout_ns)

    def release() -> None:
        if os.getpid() == process:
            try:
                unlock()
            finally:
                _held.remove(lock)

    return release


def _timed_out(name: str, timeout_ns: int) -> LockTimeout:
    hint = "wait longer, or hold the lock for less time"
    return LockTimeout(f"the lock {name!r} was not free within {timeout_ns / SECOND:g} s", hint=hint)


def _acquire_byte(path: Path, key: str, until_ns: int) -> Callable[[], None] | None:
    # SQLite's own locks, and the ledger's, are elsewhere: see `lock.py`.
    offset = (1 << 61) + (int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) >> 3)
    locks = ByteLocks(path)
    try:
        if wait_for(lambda: locks.take(offset), until_ns=until_ns, pause_ns=_PAUSE_NS):
            return locks.close
    except BaseException:
        locks.close()
        raise
    locks.close()
    return None


def _acquire_advisory(ledger: Ledger, key: str, until_ns: int) -> Callable[[], None] | None:
    connection = ledger.own_connection()
    socket = connection.connection.dbapi_connection.fileno()  # type: ignore[union-attr]  # psycopg's has one
    _held.add_socket(socket)

    def close() -> None:
        _held.remove_socket(socket)
        connection.close()

    def release() -> None:
        try:
            # Raises if the lock was lost: another process may have had it, too.
            with translate_db_errors(ledger.url):
                connection.execute(_GIVE_BACK, {"key": key})
        finally:
            close()

    wait_ms = max((until_ns - SystemClock.monotonic_ns()) // MS, 1)
    try:
        with translate_db_errors(ledger.url):
            connection.execute(_PREPARE, {"wait_ms": str(wait_ms)})
            connection.execute(_TAKE, {"key": key})
    except BaseException as error:
        close()
        cause = error.__cause__
        if isinstance(cause, sa.exc.DBAPIError) and getattr(cause.orig, "sqlstate", None) == _NOT_AVAILABLE:
            return None
        raise
    return release
