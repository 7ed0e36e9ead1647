"""The databases that a ledger may be in: their URLs, connections and errors."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url

from scheduler.clock import SystemClock
from scheduler.errors import LedgerAway, LedgerError, Refused, UsageError, WrongLedger
from scheduler.instants import MS
from scheduler.ledger import files

#: A writer waits this long for another one.
_BUSY_MS = 10_000
#: Time between two tries.
_LOOK_S = 0.001
#: The driver of each database.
_DRIVERS = {"sqlite": "pysqlite", "postgresql": "psycopg"}
#: What PostgreSQL says when it starts, stops or is full. libpq gives no code with it.
_NOT_NOW = ("starting up", "shutting down", "recovery", "too many", "connection slots", "not yet accepting")
_SUCH_AS = "sqlite:////var/lib/tminus/ledger.db, or postgresql+psycopg://user@host/name"


def parse_url(url: str) -> URL:
    """
    Raises:
        UsageError: the text is not an SQLAlchemy URL, or the database is not supported.
    """
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # its text may hold a part of the password
        raise UsageError("the ledger's URL is not one", hint=_SUCH_AS) from None
    backend, _, driver = parsed.drivername.partition("+")
    if backend not in _DRIVERS:
        raise UsageError(f"a ledger cannot lie in {backend}", hint="sqlite or postgresql+psycopg")
    if driver not in ("", _DRIVERS[backend]):
        raise UsageError(f"a ledger in {backend} is not reached by {driver}", hint=_SUCH_AS)
    if "@" in (parsed.host or ""):  # the rest of the password, which would be shown as the host
        raise UsageError(
            "the ledger's URL has more than one @ before its host", hint="in a password, write @ as %40 and % as %25"
        )
    if backend == "sqlite":
        _check_sqlite(parsed)
    elif {"password", "sslpassword"} & parsed.query.keys():
        hint = "postgresql+psycopg://user:password@host/name, or a file ~/.pgpass"
        raise UsageError("the ledger's URL has a password among its options, where it would be shown", hint=hint)
    return parsed


@contextlib.contextmanager
def impatient(connection: Connection) -> Iterator[Any]:
    """On SQLite, let statements fail at once that would wait for another connection. Yields the driver's own connection."""
    raw: Any = connection.connection.driver_connection
    raw.execute("PRAGMA busy_timeout=0")
    try:
        yield raw
    finally:
        raw.execute(f"PRAGMA busy_timeout={_BUSY_MS}")


@contextlib.contextmanager
def in_our_words(url: URL) -> Iterator[None]:
    """
    Translate the errors of the database with this URL.

    Raises:
        LedgerError: instead of SQLAlchemy's errors; `Refused` if the database does not take the values.
    """
    path = files.path_of(url)
    try:
        yield
    except sa.exc.DBAPIError as error:
        if _is_refusal(error):
            raise Refused(f"the ledger {path or repr(url)} does not take it: {_first_line(error)}") from error
        said = _first_line(error)
        if path is not None:
            raise files.explain(path, said) from error
        raise _postgresql_error(url, said, is_cut=error.connection_invalidated) from error
    except (OverflowError, UnicodeEncodeError) as error:  # a number of more than 64 bits, half of a surrogate pair
        raise Refused(f"the ledger {path or repr(url)} does not take it: {error}") from error
    except sa.exc.TimeoutError as error:
        raise LedgerError(f"the ledger {url!r} is busy: no connection to it became free", hint="see `tminus doctor`") from error


def _postgresql_error(url: URL, said: str, *, is_cut: bool) -> LedgerError:
    message = f"the ledger {url!r} does not work: {said}"
    is_refusal = said.startswith("connection failed") and "FATAL:" in said and not any(word in said for word in _NOT_NOW)
    if is_refusal:
        return WrongLedger(message, hint="look at the ledger's URL, and at what the server permits")
    is_away = is_cut or said.startswith(("connection ", "failed to resolve host"))
    return LedgerAway(message) if is_away else LedgerError(message)


def engine_of(url: URL, *, has_pool: bool = True) -> Engine:
    """
    Return the connections to a database.

    Args:
        url: The URL of the database.
        has_pool: Whether a connection that is closed is used again. Only PostgreSQL can do without.
    """
    if url.get_backend_name() == "postgresql":
        return _postgresql(url, sa.QueuePool if has_pool else sa.NullPool)
    # Debian 12's own SQLite has the WAL-reset bug (sqlite.org/wal.html, fixed in 3.51.3) that several writers can meet.
    from pysqlite3 import dbapi2

    waits = {"check_same_thread": False, "timeout": _BUSY_MS / 1000}
    engine = sa.create_engine(url, module=dbapi2, connect_args=waits, hide_parameters=True)

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we begin transactions ourselves
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=ON")  # what a run was given goes with it; costs nothing that can be measured
        connection.execute("PRAGMA foreign_keys=ON")

    @sa.event.listens_for(engine, "handle_error")
    def _handle_error(context: sa.engine.ExceptionContext) -> None:
        # SQLite may not have unlocked what the connection had locked. It does when the connection is closed.
        if "disk I/O error" in str(context.original_exception):
            context.is_disconnect = True

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") != "AUTOCOMMIT":
            # A reader that becomes a writer fails at once if another one has written since. A writer from the start waits.
            if options.get("tminus_writes"):
                _begin_to_write(connection)
            else:
                connection.exec_driver_sql("BEGIN")

    return engine


def _begin_to_write(connection: Connection) -> None:
    """Wait for this writer's turn. SQLite's own wait looks only every 100 ms in the end, so that later writers overtake it."""
    until_ns = SystemClock.monotonic_ns() + _BUSY_MS * MS
    with impatient(connection) as raw:
        while SystemClock.monotonic_ns() < until_ns:
            try:
                raw.execute("BEGIN IMMEDIATE")  # 5 us; 100 where SQLAlchemy makes an error of a refusal
                return
            except raw.OperationalError as error:
                if "locked" not in str(error):
                    break
                threading.Event().wait(_LOOK_S)
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _postgresql(url: URL, pool: type[sa.Pool]) -> Engine:
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise UsageError("a ledger in PostgreSQL needs psycopg", hint="pip install 'tminus[postgresql]'") from None
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
    return sa.create_engine(url, connect_args=options, poolclass=pool, pool_pre_ping=True, hide_parameters=True)


def _first_line(error: sa.exc.DBAPIError) -> str:
    return (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]


def _is_refusal(error: sa.exc.DBAPIError) -> bool:
    """Return whether the values are to blame: by SQLSTATE data exceptions, violated constraints and exceeded limits."""
    state = getattr(error.orig, "sqlstate", None) or ""
    return isinstance(error, sa.exc.DataError | sa.exc.IntegrityError) or state[:2] in ("22", "23", "54")


def _check_sqlite(url: URL) -> None:
    if url.host or url.query or (url.database or "").startswith("file:") or "\0" in (url.database or ""):
        raise UsageError("a ledger in SQLite is named by its path alone", hint="sqlite:////var/lib/tminus/ledger.db")
    if not url.database or url.database == ":memory:":
        raise UsageError("a ledger in memory would remember nothing", hint="sqlite:////var/lib/tminus/ledger.db")
