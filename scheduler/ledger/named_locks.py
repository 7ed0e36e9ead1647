"""
Locks by name, which end with the process that holds them. On SQLite a lock is a byte of the database's own file, on PostgreSQL an
advisory lock of a connection of its own. Within a process, a set of the taken names keeps threads apart.
"""

import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from scheduler.clock import SystemClock
from scheduler.errors import LockTimeout
from scheduler.instants import MS, SECOND
from scheduler.ledger.byte_locks import ByteLocks
from scheduler.ledger.databases import in_our_words
from scheduler.ledger.engine import Ledger

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

_free = threading.Condition()
#: The locks of this process, by ledger and key. Only the thread that has added an entry waits for the kernel or the server.
_taken: set[tuple[object, str]] = set()
#: The sockets of connections that hold a lock or wait for one.
_sockets: set[int] = set()


def _after_fork() -> None:
    """Close the parent's connections in a child: otherwise their locks would outlive the parent."""
    global _free
    _free = threading.Condition()
    _taken.clear()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for socket in _sockets:
        os.dup2(nowhere, socket, inheritable=False)
    os.close(nowhere)
    _sockets.clear()


os.register_at_fork(after_in_child=_after_fork)


def acquire(ledger: Ledger, app: str, name: str, timeout_ns: int) -> Callable[[], None]:
    """
    Take a lock; wait for it at most `timeout_ns`. Thread-safe.

    Returns:
        A function that releases the lock, once, from any thread. In a process that was forked meanwhile it does nothing.

    Raises:
        LockTimeout: the lock was not free in time.
        LedgerError: the ledger does not work.
    """
    deadline_ns = SystemClock.monotonic_ns() + timeout_ns
    key, holder = json.dumps([app, name]), os.getpid()
    mine = (ledger.url if ledger.path is None else ledger.path, key)
    with _free:
        if not _free.wait_for(lambda: mine not in _taken, max(deadline_ns - SystemClock.monotonic_ns(), 0) / SECOND):
            raise _too_late(name, timeout_ns)
        _taken.add(mine)
    try:
        outside = _advisory(ledger, key, deadline_ns) if ledger.path is None else _byte(ledger.path, key, deadline_ns)
    except BaseException:
        _leave(mine)
        raise
    if outside is None:
        _leave(mine)
        raise _too_late(name, timeout_ns)

    def give_back() -> None:
        if os.getpid() == holder:
            try:
                outside()
            finally:
                _leave(mine)

    return give_back


def _leave(mine: tuple[object, str]) -> None:
    with _free:
        _taken.discard(mine)
        _free.notify_all()


def _too_late(name: str, timeout_ns: int) -> LockTimeout:
    hint = "give it more time, or hold it for less"
    return LockTimeout(f"the lock {name!r} was not free within {timeout_ns / SECOND:g} s", hint=hint)


def _byte(path: Path, key: str, deadline_ns: int) -> Callable[[], None] | None:
    # SQLite's own locks, and the ledger's, are elsewhere: see `lock.py`.
    offset = (1 << 61) + (int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) >> 3)
    locks, never = ByteLocks(path), threading.Event()
    try:
        while not locks.take(offset):
            left_ns = deadline_ns - SystemClock.monotonic_ns()
            if left_ns <= 0:
                locks.close()
                return None
            never.wait(min(left_ns, _PAUSE_NS) / SECOND)
    except BaseException:
        locks.close()
        raise
    return locks.close


def _advisory(ledger: Ledger, key: str, deadline_ns: int) -> Callable[[], None] | None:
    connection = ledger.own_connection()
    socket = connection.connection.dbapi_connection.fileno()  # type: ignore[union-attr]  # psycopg's has one
    _sockets.add(socket)

    def close() -> None:
        _sockets.discard(socket)
        connection.close()

    def give_back() -> None:
        try:
            with in_our_words(ledger.url):  # raises if the lock was lost: another process may have had it, too
                connection.execute(_GIVE_BACK, {"key": key})
        finally:
            close()

    wait_ms = max((deadline_ns - SystemClock.monotonic_ns()) // MS, 1)
    try:
        with in_our_words(ledger.url):
            connection.execute(_PREPARE, {"wait_ms": str(wait_ms)})
            connection.execute(_TAKE, {"key": key})
    except BaseException as error:
        close()
        cause = error.__cause__
        if isinstance(cause, sa.exc.DBAPIError) and getattr(cause.orig, "sqlstate", None) == _NOT_AVAILABLE:
            return None
        raise
    return give_back
