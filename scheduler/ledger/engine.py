"""A ledger: how it is opened and migrated, and its transactions."""

import contextlib
import importlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from scheduler.errors import LedgerError, NoLedger, OldLedger
from scheduler.ledger import files
from scheduler.ledger.databases import engine_of, in_our_words, parse_url
from scheduler.ledger.tables import SCHEMA

#: Another process that opens the same new file may hold it this long.
_BUSY_MS = 10_000


class Ledger:
    """
    An open ledger. Thread-safe: each call takes a connection of its own.

    Attributes:
        url: The database; its text masks the password.
        path: The file of a SQLite ledger, without symbolic links; None on PostgreSQL.
        old_schema: The schema from which to migrate as soon as this process has the lock; None if the ledger is up to date.
        guard: Called at the beginning of each transaction that writes. In a process that runs jobs it checks the lock.
    """

    def __init__(self, url: URL, engine: Engine, path: Path | None) -> None:
        self.url = url
        self.path = path
        self.old_schema: str | None = None
        self.guard: Callable[[Connection], None] = lambda _: None
        self._named = files.path_of(url)
        self._file = files.identity(self._named)
        self._reader = engine
        self._writer = engine.execution_options(tminus_writes=True)
        # A wait for a lock or a notice takes no connection from the pool, so it cannot hold up a transaction.
        self._own = engine if path is not None else engine_of(engine.url, has_pool=False)
        if path is not None:
            # A pooled connection to another file would write into that file once the ledger has been put back.
            sa.event.listen(engine, "connect", lambda *_: self._check_file())

    def __repr__(self) -> str:
        return f"<Ledger {self.url!r}>"

    @contextlib.contextmanager
    def write(self, *, is_durable: Callable[[Connection], bool] = lambda _: False) -> Iterator[Connection]:
        """
        Run one transaction, which is durable when the block ends without an exception.

        Args:
            is_durable: Returns whether another connection sees what this transaction wrote. A commit that raised may be durable
                nevertheless; if it is, nothing is raised.

        Raises:
            LedgerError: it could not be begun or committed. Without `is_durable` it may be durable: read by key to find out.
            LedgerLost: another process runs jobs on the ledger now.
        """
        self._check_file()  # what is written into a file without a name is lost
        is_done = False
        try:
            with in_our_words(self.url), self._writer.begin() as connection:
                self.guard(connection)
                yield connection
                is_done = True
        except LedgerError:
            if not is_done or not self._sees(is_durable):
                raise

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """
        Run one transaction that reads, with one consistent view.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with in_our_words(self.url), self._reader.begin() as connection:
            yield connection

    def _check_file(self) -> None:
        if files.identity(self._named) != self._file:
            hint = "put it back, or start again: then a new one is made"
            raise LedgerError(f"the ledger {self._named} was removed or replaced", hint=hint)

    def _sees(self, is_durable: Callable[[Connection], bool]) -> bool:
        with contextlib.suppress(LedgerError), self.read() as connection:
            return is_durable(connection)
        return False

    def own_connection(self) -> Connection:
        """Return a connection in autocommit mode, which the caller keeps and closes."""
        with in_our_words(self.url):
            return self._own.connect().execution_options(isolation_level="AUTOCOMMIT")

    def close(self) -> None:
        """Close all connections."""
        self._reader.dispose()


def open_ledger(
    url: str, *, group: str | None = None, create: bool = True, upgrade: bool = True, upgrade_later: bool = False
) -> Ledger:
    """
    Open a ledger. Create a missing one, and migrate an older one.

    Args:
        url: `sqlite:////path/to/ledger.db` or `postgresql+psycopg://user@host/name`.
        group: The group that may open a SQLite ledger, too.
        create: Whether to create a missing one.
        upgrade: Whether to migrate an older one. An older daemon may still use it, and Alembic may be missing.
        upgrade_later: Whether the caller does that, with `bring_up_to_date`, as soon as it has the ledger's lock.

    Raises:
        UsageError: this is not a URL, or the database is not supported.
        NoLedger: the ledger is missing and is not to be created.
        OldLedger: the ledger is older and is not to be migrated.
        LedgerError: it cannot be opened, is not a tminus ledger, or is newer than this program.
    """
    parsed = parse_url(url)
    path, at = files.path_of(parsed), parsed
    if path is not None:
        path = files.real(path)
        at = parsed.set(database=str(path))
        if not files.is_there(path):
            if not create:
                raise NoLedger(f"no ledger at {path}", hint="nothing has run yet; `tminus daemon` and `tminus run-now` make it")
            _make(parsed, path)
    ledger = Ledger(parsed, engine_of(at), path)
    try:
        found = _schema_of(ledger)
        if found is None and not create:
            raise NoLedger(f"the ledger {ledger.url!r} is empty", hint="the tminus daemon makes its tables when it starts")
        if found is None or (found != SCHEMA and upgrade):
            _migrate(ledger)
        elif found != SCHEMA:
            ledger.old_schema = found
        if not upgrade_later:
            check_schema(ledger)
        if path is not None and (create or upgrade):
            _write_ahead(ledger)
        if path is not None and group:
            files.share(path, group=group)
    except BaseException:
        ledger.close()
        raise
    return ledger


def check_schema(ledger: Ledger) -> None:
    """
    Raises:
        OldLedger: the ledger is older than this program, and was opened with `upgrade_later`.
    """
    if ledger.old_schema is not None:
        hint = "start the tminus daemon on it, of the same version as this environment's"
        raise OldLedger(f"the ledger {ledger.url!r} has schema {ledger.old_schema}, and this tminus needs {SCHEMA}", hint=hint)


def bring_up_to_date(ledger: Ledger) -> None:
    """
    Migrate a ledger that was opened with `upgrade_later`; the caller has its lock.

    Raises:
        LedgerError: it cannot be migrated.
    """
    if ledger.old_schema is not None:
        if _schema_of(ledger) != SCHEMA:  # another process may have done it
            _migrate(ledger)
        ledger.old_schema = None


def insert_or_skip(connection: Connection, table: sa.Table) -> Any:
    """Return an INSERT that does not change a row that exists."""
    return _dialect(connection).insert(table).on_conflict_do_nothing()


def _dialect(connection: Connection) -> Any:
    """Return SQLAlchemy's module of this database. To import the other one, too, would take as long as a query."""
    return importlib.import_module(f"sqlalchemy.dialects.{connection.dialect.name}")


def insert_or_update(connection: Connection, table: sa.Table, *, key: Sequence[str], changed: Sequence[str]) -> Any:
    """Return an INSERT that sets the columns `changed` of a row with that key if it exists."""
    statement = _dialect(connection).insert(table)
    return statement.on_conflict_do_update(index_elements=key, set_={name: statement.excluded[name] for name in changed})


def _make(url: URL, path: Path) -> None:
    with files.making(path) as new:
        if new is not None:
            ledger = Ledger(url, engine_of(url.set(database=str(new))), new)
            try:
                _migrate(ledger)
            finally:
                ledger.close()


def _migrate(ledger: Ledger) -> None:
    from scheduler.ledger.migrate import migrate  # Alembic takes its time to import, and is hardly ever needed

    migrate(ledger)


def _schema_of(ledger: Ledger) -> str | None:
    """
    Return the schema that a ledger has; None if it has no tables yet.

    Raises:
        LedgerError: it is not a tminus ledger, or is newer than this program.
    """
    with ledger.read() as connection:
        present = set(sa.inspect(connection).get_table_names())
        query = "SELECT version_num FROM tminus_schema"
        found = connection.exec_driver_sql(query).scalar() if "tminus_schema" in present else None
    if found is None and present:
        raise LedgerError(f"{ledger.url!r} is not a tminus ledger", hint="it holds other tables; name another database")
    if found is not None and str(found) > SCHEMA:
        said = f"the ledger {ledger.url!r} has schema {found}, newer than this program's {SCHEMA}"
        raise LedgerError(said, hint="install the tminus that wrote it, or a newer one; nothing was changed")
    return found


def _write_ahead(ledger: Ledger) -> None:
    """Turn write-ahead logging on. Call this only after the file is known to be a tminus ledger, because it modifies the file."""
    pause_ms = 50
    with in_our_words(ledger.url), ledger.own_connection() as connection:
        for left in reversed(range(max(_BUSY_MS // pause_ms, 1))):
            try:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                return
            except sa.exc.OperationalError as error:
                # SQLite does not wait for another process that opens the same new file at this moment.
                if not left or "locked" not in str(error.orig):
                    raise
                threading.Event().wait(pause_ms / 1000)
