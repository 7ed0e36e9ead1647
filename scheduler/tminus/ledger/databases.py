"""Connections to the databases that a ledger can be in: SQLite and PostgreSQL."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from tminus.clock import SystemClock
from tminus.errors import UsageError
from tminus.instants import MS
from tminus.ledger.db_errors import SQLITE_IOERR, is_busy, sqlite_code
from tminus.ledger.waiting import wait_for

#: A writer waits this long for another one.
_BUSY_MS = 10_000
#: The write-ahead log grows beyond this while a long read holds it, and shrinks to this afterwards.
_LOG_BYTES = 64 << 20
#: Time between two tries.
_PAUSE_NS = MS


@contextlib.contextmanager
def fail_if_busy(connection: Connection) -> Iterator[Any]:
    """
    On SQLite, let statements fail at once that would wait for another connection. Yields the driver's own
    connection.
    """
    raw: Any = connection.connection.driver_connection
    raw.execute("PRAGMA busy_timeout=0")
    try:
        yield raw
    finally:
        raw.execute(f"PRAGMA busy_timeout={_BUSY_MS}")


def engine_of(url: URL, *, has_pool: bool = True) -> Engine:
    """
    Return the engine for a database.

    Args:
        url: The URL of the database.
        has_pool: Whether closed connections are used again. SQLite always has a pool.
    """
    if url.get_backend_name() == "postgresql":
        return _postgresql(url, sa.QueuePool if has_pool else sa.NullPool)
    # Debian 12's own SQLite has the WAL-reset bug (sqlite.org/wal.html, fixed in 3.51.3) that several writers
    # can meet.
    from pysqlite3 import dbapi2

    waits = {"check_same_thread": False, "timeout": _BUSY_MS / 1000}
    engine = sa.create_engine(url, module=dbapi2, connect_args=waits, hide_parameters=True)

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # `_begin` begins the transactions
        connection.execute("PRAGMA synchronous=FULL")
        # Deleted inputs of background runs are overwritten. That costs nothing measurable.
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA journal_size_limit={_LOG_BYTES}")

    @sa.event.listens_for(engine, "handle_error")
    def _handle_error(context: sa.engine.ExceptionContext) -> None:
        # SQLite may not have unlocked what the connection had locked. It does when the connection is closed.
        if sqlite_code(context.original_exception) == SQLITE_IOERR:
            context.is_disconnect = True

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") != "AUTOCOMMIT":
            # A reader that becomes a writer fails at once if another one has written since. A writer from the
            # start waits.
            if options.get("tminus_writes"):
                _begin_to_write(connection)
            else:
                connection.exec_driver_sql("BEGIN")

    return engine


def _begin_to_write(connection: Connection) -> None:
    """
    Begin a transaction that writes, as soon as no other connection writes. SQLite's own wait grows to 100 ms
    between two tries, so later writers would overtake this one.
    """
    with fail_if_busy(connection) as raw:

        def begin() -> bool:
            try:
                raw.execute("BEGIN IMMEDIATE")  # a refusal takes 5 us; with SQLAlchemy's error 100 us
            except raw.OperationalError as error:
                if is_busy(error):
                    return False
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # raises SQLAlchemy's error
            return True

        until_ns = SystemClock.monotonic_ns() + _BUSY_MS * MS
        if not wait_for(begin, until_ns=until_ns, pause_ns=_PAUSE_NS):
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # raises the error


def _postgresql(url: URL, pool: type[sa.Pool]) -> Engine:
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise UsageError(
            "a ledger in PostgreSQL needs psycopg",
            hint="in the folder of tminus: pip install '.[postgresql]'",
        ) from None
    own = url.query.get("options", "")
    options = {
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "options": f"-c statement_timeout=30s -c lock_timeout=10s {own}".strip(),
        "application_name": f"tminus@{socket.gethostname()}",
    }
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    return sa.create_engine(
        url, connect_args=options, poolclass=pool, pool_pre_ping=True, hide_parameters=True
    )
