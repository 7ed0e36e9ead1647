"""
Locks by name, which die with the process that holds them. On SQLite the byte of a file beside the ledger, on PostgreSQL an
advisory lock of a connection of its own; within a process a set of those that it has.
"""

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from scheduler.clock import SystemClock
from scheduler.errors import LedgerError, LockTimeout
from scheduler.instants import MS, SECOND
from scheduler.ledger import files
from scheduler.ledger.engine import Ledger, in_our_words

#: Between two tries for the byte: neither a core's work nor a wait that anybody notices.
_PAUSE_NS = 10 * MS
#: The server waits, and learns soon that a host has gone.
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
#: Those of this process, by ledger and key. Two threads share a lock of the kernel, so this keeps them apart; and one at a time
#: waits for a lock outside.
_taken: set[tuple[object, str]] = set()
#: The files with the bytes, by device and inode; never closed, for that would give back all locks of the process on them.
_open: dict[tuple[int, int], int] = {}
#: The sockets of connections that hold locks, or wait for them.
_sockets: set[int] = set()


def _after_fork() -> None:
    """A child has none of its parent's locks; a connection that it kept open would outlive its parent, with its lock."""
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
    Take a lock; wait for it so long. Thread-safe.

    Returns:
        Gives it back, once, from any thread; does nothing in a process that was forked meanwhile.

    Raises:
        LockTimeout: it was not free in time.
        LedgerError: nobody can say, for the ledger does not work.
    """
    deadline_ns = SystemClock.monotonic_ns() + timeout_ns
    key, holder = json.dumps([app, name]), os.getpid()
    file = None if ledger.path is None else _file(ledger.path)
    mine = (ledger.url if file is None else file, key)
    with _free:
        if not _free.wait_for(lambda: mine not in _taken, max(deadline_ns - SystemClock.monotonic_ns(), 0) / SECOND):
            raise _too_late(name, timeout_ns)
        _taken.add(mine)
    try:
        outside = _advisory(ledger, key, deadline_ns) if file is None else _byte(file, key, deadline_ns)
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


def _file(ledger: Path) -> int:
    """The file of this ledger that is there now, made where there is none."""
    path = files.named_locks_file(ledger)
    with _free:
        found = _open.get(files.identity(path) or (0, 0))
        if found is None:
            found = files.open_lock(ledger, path)
            about = os.fstat(found)
            _open[about.st_dev, about.st_ino] = found
        return found


def _byte(file: int, key: str, deadline_ns: int) -> Callable[[], None] | None:
    # A lock of fcntl(2) is a process's: it ends with it, and no child that is forked has it, too.
    at = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) >> 2
    never = threading.Event()
    while True:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, at)
            return lambda: fcntl.lockf(file, fcntl.LOCK_UN, 1, at)
        except (BlockingIOError, PermissionError):  # another process has it: POSIX allows either
            pass
        except OSError as error:
            raise LedgerError(f"the file with the ledger's locks cannot be locked: {error.strerror}") from error
        left_ns = deadline_ns - SystemClock.monotonic_ns()
        if left_ns <= 0:
            return None
        never.wait(min(left_ns, _PAUSE_NS) / SECOND)


def _advisory(ledger: Ledger, key: str, deadline_ns: int) -> Callable[[], None] | None:
    connection = ledger.own_connection()
    connection.detach()  # who holds a lock, or waits for one, takes no connection away from who counts
    socket = connection.connection.dbapi_connection.fileno()  # type: ignore[union-attr]  # psycopg's has one
    _sockets.add(socket)

    def close() -> None:
        _sockets.discard(socket)
        connection.close()

    def give_back() -> None:
        try:
            with in_our_words(ledger.url):  # where it was lost meanwhile, another one may have had it, too
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
