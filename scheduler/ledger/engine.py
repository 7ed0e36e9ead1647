"""Open a ledger: its engine, its pragmas, its schema; every difference between SQLite and PostgreSQL."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Engine, make_url

from scheduler.clock import SystemClock
from scheduler.errors import LedgerError, UsageError
from scheduler.instants import MS
from scheduler.ledger import files
from scheduler.ledger.tables import SCHEMA

#: How long a writer waits for another one.
_BUSY_MS = 10_000
#: And how often it looks.
_LOOK_S = 0.001
#: The one driver of each database.
_DRIVERS = {"sqlite": "pysqlite", "postgresql": "psycopg"}
_SUCH_AS = "sqlite:////var/lib/tminus/ledger.db, or postgresql+psycopg://user@host/name"


class Ledger:
    """
    An open ledger. Thread-safe: each call takes a connection of its own.

    Attributes:
        url: Where it lies; the password, if any, is masked in its text.
        path: The file of a SQLite ledger, without symbolic links.
        guard: Called at the beginning of each transaction that writes, by a process that runs jobs: it must still hold the lock.
    """

    def __init__(self, url: URL, engine: Engine, path: Path | None) -> None:
        self.url = url
        self.path = path
        self.guard: Callable[[Connection], None] = lambda _: None
        self._named = files.path_of(url)
        self._file = files.identity(self._named)
        self._reader = engine
        self._writer = engine.execution_options(tminus_writes=True)

    def __repr__(self) -> str:
        return f"<Ledger {self.url!r}>"

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """
        One transaction, durable when the block ends without an exception.

        Raises:
            LedgerError: it could not be begun or committed. A commit that raised may be durable all the same: read by
                key before deciding.
            LedgerLost: another process runs jobs on the ledger now.
        """
        if files.identity(self._named) != self._file:
            # What is written into a file that nobody finds any more is not written down.
            hint = "put it back, or start again: then a new one is made"
            raise LedgerError(f"the ledger {self._named} was removed or replaced", hint=hint)
        with in_our_words(self.url), self._writer.begin() as connection:
            self.guard(connection)
            yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """
        One consistent view.

        Raises:
            LedgerError: it cannot be read.
        """
        with in_our_words(self.url), self._reader.begin() as connection:
            yield connection

    def own_connection(self) -> Connection:
        """A connection that the caller keeps and closes, outside of any transaction."""
        with in_our_words(self.url):
            return self._reader.connect().execution_options(isolation_level="AUTOCOMMIT")

    def close(self) -> None:
        """Give all connections back."""
        self._reader.dispose()


def open_ledger(url: str, *, group: str | None = None, create: bool = True, upgrade: bool = True) -> Ledger:
    """
    Open a ledger, make it where it is not there yet, and migrate an older one.

    Args:
        url: `sqlite:////path/to/ledger.db` or `postgresql+psycopg://user@host/name`.
        group: Who else may open a SQLite ledger.
        create: Whether to make one that is not there.
        upgrade: Whether to migrate an older one; False where Alembic may be missing.

    Raises:
        UsageError: the URL is none, or of a database that is not supported.
        LedgerError: it cannot be opened, is not ours, is newer than this program, or older and is not to be migrated.
    """
    parsed = parse_url(url)
    path, at = files.path_of(parsed), parsed
    if path is not None:
        path = files.real(path)
        files.prepare(path, create=create)
        at = parsed.set(database=str(path))
    ledger = Ledger(parsed, _engine(at), path)
    try:
        _bring_up_to_date(ledger, upgrade=upgrade)
        if path is not None and group:
            files.share(path, group=group)
    except BaseException:
        ledger.close()
        raise
    return ledger


def parse_url(url: str) -> URL:
    """
    Raises:
        UsageError: the text is no SQLAlchemy URL, or one of a database that is not supported.
    """
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # whose texts may hold a part of the password
        raise UsageError("the ledger's URL is not one", hint=_SUCH_AS) from None
    backend, _, driver = parsed.drivername.partition("+")
    if backend not in _DRIVERS:
        raise UsageError(f"a ledger cannot lie in {backend}", hint="sqlite or postgresql+psycopg")
    if driver not in ("", _DRIVERS[backend]):
        raise UsageError(f"a ledger in {backend} is not reached by {driver}", hint=_SUCH_AS)
    if backend == "sqlite":
        _check_sqlite(parsed)
    elif {"password", "sslpassword"} & parsed.query.keys():
        hint = "postgresql+psycopg://user:password@host/name, or a file ~/.pgpass"
        raise UsageError("the ledger's URL has a password among its options, where it would be shown", hint=hint)
    return parsed


def insert_or_skip(connection: Connection, table: sa.Table) -> Any:
    """An INSERT that leaves a row alone that is already there."""
    dialect = {"sqlite": sqlite, "postgresql": postgresql}[connection.dialect.name]
    return dialect.insert(table).on_conflict_do_nothing()


def insert_or_update(connection: Connection, table: sa.Table, *, key: Sequence[str], changed: Sequence[str]) -> Any:
    """An INSERT that sets these columns of a row with that key that is already there."""
    dialect = {"sqlite": sqlite, "postgresql": postgresql}[connection.dialect.name]
    statement = dialect.insert(table)
    return statement.on_conflict_do_update(index_elements=key, set_={name: statement.excluded[name] for name in changed})


@contextlib.contextmanager
def impatient(connection: Connection) -> Iterator[Any]:
    """On SQLite: what would have to wait for another one fails at once. Yields the driver's own connection."""
    raw: Any = connection.connection.driver_connection
    raw.execute("PRAGMA busy_timeout=0")
    try:
        yield raw
    finally:
        raw.execute(f"PRAGMA busy_timeout={_BUSY_MS}")


@contextlib.contextmanager
def in_our_words(url: URL) -> Iterator[None]:
    """
    Whatever the database of this URL may raise becomes a sentence.

    Raises:
        LedgerError: instead of SQLAlchemy's errors.
    """
    try:
        yield
    except sa.exc.DBAPIError as error:
        path = files.path_of(url)
        said = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
        if path is not None:
            raise files.explain(path, said) from error
        raise LedgerError(f"the ledger {url!r} does not work: {said}") from error
    except OverflowError as error:
        raise LedgerError(f"the ledger {url!r} does not take it: {error}") from error
    except sa.exc.TimeoutError as error:
        raise LedgerError(f"the ledger {url!r} is busy: no connection to it became free", hint="see `tminus doctor`") from error


def _check_sqlite(url: URL) -> None:
    if url.host or url.query or (url.database or "").startswith("file:") or "\0" in (url.database or ""):
        raise UsageError("a ledger in SQLite is named by its path alone", hint="sqlite:////var/lib/tminus/ledger.db")
    if not url.database or url.database == ":memory:":
        raise UsageError("a ledger in memory would remember nothing", hint="sqlite:////var/lib/tminus/ledger.db")


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        return _postgresql(url)
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

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") != "AUTOCOMMIT":
            # A reader that turns writer fails at once where another has written since; a writer from the start waits its turn.
            if options.get("tminus_writes"):
                _begin_to_write(connection)
            else:
                connection.exec_driver_sql("BEGIN")

    return engine


def _begin_to_write(connection: Connection) -> None:
    """SQLite's own waiter looks less and less often, each 100 ms in the end: who comes later overtakes it again and again."""
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


def _postgresql(url: URL) -> Engine:
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
    return sa.create_engine(url, connect_args=options, pool_pre_ping=True, hide_parameters=True)


def _bring_up_to_date(ledger: Ledger, *, upgrade: bool) -> None:
    with ledger.read() as connection:
        present = set(sa.inspect(connection).get_table_names())
        found = (
            connection.exec_driver_sql("SELECT version_num FROM tminus_schema").scalar() if "tminus_schema" in present else None
        )
    if found is None and present:
        raise LedgerError(f"{ledger.url!r} is not a tminus ledger", hint="it holds other tables; name another database")
    if found is None and not upgrade:
        raise LedgerError(f"the ledger {ledger.url!r} is empty", hint="the tminus daemon makes its tables when it starts")
    if found != SCHEMA and not upgrade:
        hint = "start the tminus daemon on it, of the same version as this environment's"
        raise LedgerError(f"the ledger {ledger.url!r} has schema {found}, and this tminus needs {SCHEMA}", hint=hint)
    if found != SCHEMA:
        from scheduler.ledger.migrate import migrate  # Alembic takes its time to import, and is hardly ever needed

        migrate(ledger, found)
    if ledger.path is not None:
        _write_ahead(ledger)


def _write_ahead(ledger: Ledger) -> None:
    """Not before the file is known to be ours, for this changes it."""
    pause_ms = 50
    with in_our_words(ledger.url), ledger.own_connection() as connection:
        for left in reversed(range(max(_BUSY_MS // pause_ms, 1))):
            try:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                return
            except sa.exc.OperationalError as error:
                # SQLite does not wait for another one that opens the same new file at this moment.
                if not left or "locked" not in str(error.orig):
                    raise
                threading.Event().wait(pause_ms / 1000)
