"""A ledger: how it is opened and brought up to date, and its transactions."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Engine

from scheduler.errors import LedgerError
from scheduler.ledger import files
from scheduler.ledger.databases import engine_of, in_our_words, parse_url
from scheduler.ledger.tables import SCHEMA

#: How long a new file may be held by another one that opens it.
_BUSY_MS = 10_000


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
    def write(self, *, is_durable: Callable[[Connection], bool] = lambda _: False) -> Iterator[Connection]:
        """
        One transaction, durable when the block ends without an exception.

        Args:
            is_durable: Whether another connection sees what this transaction wrote. A commit that raised may be durable all the
                same: if it is, nothing is raised.

        Raises:
            LedgerError: it could not be begun or committed. Without `is_durable` it may be durable: read by key before deciding.
            LedgerLost: another process runs jobs on the ledger now.
        """
        if files.identity(self._named) != self._file:
            # What is written into a file that nobody finds any more is not written down.
            hint = "put it back, or start again: then a new one is made"
            raise LedgerError(f"the ledger {self._named} was removed or replaced", hint=hint)
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
        One consistent view.

        Raises:
            LedgerError: it cannot be read.
        """
        with in_our_words(self.url), self._reader.begin() as connection:
            yield connection

    def _sees(self, is_durable: Callable[[Connection], bool]) -> bool:
        with contextlib.suppress(LedgerError), self.read() as connection:
            return is_durable(connection)
        return False

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
    ledger = Ledger(parsed, engine_of(at), path)
    try:
        _bring_up_to_date(ledger, upgrade=upgrade)
        if path is not None and group:
            files.share(path, group=group)
    except BaseException:
        ledger.close()
        raise
    return ledger


def insert_or_skip(connection: Connection, table: sa.Table) -> Any:
    """An INSERT that leaves a row alone that is already there."""
    dialect = {"sqlite": sqlite, "postgresql": postgresql}[connection.dialect.name]
    return dialect.insert(table).on_conflict_do_nothing()


def insert_or_update(connection: Connection, table: sa.Table, *, key: Sequence[str], changed: Sequence[str]) -> Any:
    """An INSERT that sets these columns of a row with that key that is already there."""
    dialect = {"sqlite": sqlite, "postgresql": postgresql}[connection.dialect.name]
    statement = dialect.insert(table)
    return statement.on_conflict_do_update(index_elements=key, set_={name: statement.excluded[name] for name in changed})


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
