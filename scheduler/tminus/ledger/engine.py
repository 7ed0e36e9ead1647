"""A ledger: how it is opened and migrated, and its transactions."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from tminus import crash_points
from tminus.clock import SystemClock
from tminus.errors import EmptyLedger, LedgerError, NoLedger, OldLedger
from tminus.instants import MS
from tminus.ledger import files
from tminus.ledger.databases import engine_of
from tminus.ledger.db_errors import is_busy, translate_db_errors
from tminus.ledger.tables import SCHEMA
from tminus.ledger.urls import parse_url
from tminus.ledger.waiting import wait_for
from tminus.model.notification import OutcomeWatch

#: Another process that opens the same new file may hold it this long.
_BUSY_MS = 10_000
_PAUSE_NS = 50 * MS


class Ledger:
    """
    An open ledger. Thread-safe: each call takes a connection of its own.

    Attributes:
        url: The database; its text masks the password.
        path: The file of a SQLite ledger, without symbolic links; None on PostgreSQL.
        old_schema: The schema from which to migrate as soon as this process has the lock; None if the ledger
            is up to date.
        guard: Called at the beginning of each transaction that writes. In a process that runs jobs it checks
            the lock.
        watch: Which outcomes each transaction that writes outcomes notes for notifications. Only a daemon
            sets it.
        failure_limits: The failures in a row after which each transaction that writes outcomes asks for a
            pause, by job.
    """

    def __init__(self, url: URL, engine: Engine, path: Path | None) -> None:
        self.url = url
        self.path = path
        self.old_schema: str | None = None
        self.guard: Callable[[Connection], None] = lambda _: None
        self.watch = OutcomeWatch()
        self.failure_limits: Mapping[str, int] = {}
        self._named = files.path_of(url)
        self._file = files.identity(self._named)
        self._reader = engine
        self._writer = engine.execution_options(tminus_writes=True)
        # On PostgreSQL, waits for a lock or a NOTIFY have connections of their own. From the pool, they would
        # hold up transactions.
        self._own = engine if path is not None else engine_of(engine.url, has_pool=False)
        if path is not None:
            # A connection to a file that replaces the ledger must not get into the pool: it would still write
            # into that file after the ledger has been put back.
            sa.event.listen(engine, "connect", lambda *_: self._check_file())

    def __repr__(self) -> str:
        return f"<Ledger {self.url!r}>"

    @contextlib.contextmanager
    def write(
        self, *, is_durable: Callable[[Connection], bool] = lambda _: False, step: str | None = None
    ) -> Iterator[Connection]:
        """
        Run one transaction, which is durable when the block ends without an exception.

        Args:
            is_durable: Returns whether another connection sees what this transaction wrote. A commit that
                raised may be durable nevertheless; if it is, nothing is raised.
            step: One of `crash_points.STEPS`.

        Raises:
            LedgerError: it could not be begun or committed. Without `is_durable`, or if the ledger could not
                be read back, it may be durable nevertheless: read by key to find out.
            LedgerLost: another process runs jobs on the ledger now.
        """
        self._check_file()  # what is written into a file without a name is lost
        is_done = False
        try:
            with translate_db_errors(self.url), self._writer.begin() as connection:
                self.guard(connection)
                yield connection
                is_done = True
                if step:
                    crash_points.passed(f"{step}-{crash_points.BEFORE}")
        except LedgerError:
            if not is_done or not self._sees(is_durable):
                raise
        if step:
            crash_points.passed(f"{step}-{crash_points.AFTER}")

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """
        Run one transaction that reads, with one consistent view.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with translate_db_errors(self.url), self._reader.begin() as connection:
            yield connection

    def _check_file(self) -> None:
        if files.identity(self._named) != self._file:
            hint = "put it back, or start again: the start creates a new one"
            raise LedgerError(f"the ledger {self._named} was removed or replaced", hint=hint)

    def _sees(self, is_durable: Callable[[Connection], bool]) -> bool:
        with contextlib.suppress(LedgerError), self.read() as connection:
            return is_durable(connection)
        return False

    def own_connection(self) -> Connection:
        """Return a connection in autocommit mode, which the caller keeps and closes."""
        with translate_db_errors(self.url):
            return self._own.connect().execution_options(isolation_level="AUTOCOMMIT")

    def close(self) -> None:
        """Close all connections."""
        self._reader.dispose()


def open_ledger(
    url: str,
    *,
    group: str | None = None,
    create: bool = True,
    upgrade: bool = True,
    upgrade_later: bool = False,
) -> Ledger:
    """
    Open a ledger. Create a missing one, and migrate an older one.

    Args:
        url: `sqlite:////path/to/ledger.db` or `postgresql+psycopg://user@host/name`.
        group: The group that may open a SQLite ledger, too.
        create: Whether to create a missing one.
        upgrade: Whether to migrate an older one; not if an older daemon may still use it, or Alembic may be
            missing.
        upgrade_later: With `upgrade=False`: open an older one nevertheless, because the caller migrates it,
            with `bring_up_to_date`, as soon as it has the ledger's lock.

    Raises:
        UsageError: this is not a URL, or the database is not supported.
        NoLedger: the ledger is missing and is not to be created.
        OldLedger: the ledger is older and is not to be migrated.
        LedgerError: it cannot be opened, is not a tminus ledger, or is newer than this program.
    """
    parsed = parse_url(url)
    path, resolved = files.path_of(parsed), parsed
    if path is not None:
        path = files.resolve(path)
        resolved = parsed.set(database=str(path))
        if not files.exists(path):
            if not create:
                raise NoLedger(
                    f"no ledger at {path}",
                    hint="nothing has run yet; `tminus daemon` and `tminus run-now` make it",
                )
            _create(parsed, path)
    ledger = Ledger(parsed, engine_of(resolved), path)
    try:
        found = _schema_of(ledger)
        if found is None and not create:
            raise EmptyLedger(
                f"the ledger {ledger.url!r} is empty",
                hint="the tminus daemon makes its tables when it starts",
            )
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
    Check that the ledger has the schema of this program.

    Raises:
        OldLedger: the ledger is older than this program, and was opened with `upgrade_later`.
    """
    if ledger.old_schema is not None:
        hint = "start the tminus daemon on it, of the same version as this environment's"
        raise OldLedger(
            f"the ledger {ledger.url!r} has schema {ledger.old_schema}, and this tminus needs {SCHEMA}",
            hint=hint,
        )


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


def _create(url: URL, path: Path) -> None:
    with files.create_file(path) as new:
        if new is not None:
            ledger = Ledger(url, engine_of(url.set(database=str(new))), new)
            try:
                _migrate(ledger)
            finally:
                ledger.close()


def _migrate(ledger: Ledger) -> None:
    from tminus.ledger.migrate import migrate  # Alembic is slow to import, and hardly ever needed

    with ledger.write(step="migration") as connection:
        migrate(connection)


def _schema_of(ledger: Ledger) -> str | None:
    """
    Return the schema that a ledger has; None if it has no tables yet.

    Raises:
        LedgerError: it is not a tminus ledger, or is newer than this program.
    """
    with ledger.read() as connection:
        tables = sa.inspect(connection)
        query = "SELECT version_num FROM tminus_schema"
        found = connection.exec_driver_sql(query).scalar() if tables.has_table("tminus_schema") else None
        # A list of all tables takes a database with many of them much longer than the question for one.
        has_others = found is None and bool(tables.get_table_names())
    if has_others:
        raise LedgerError(
            f"{ledger.url!r} is not a tminus ledger", hint="it holds other tables; name another database"
        )
    if found is not None and str(found) > SCHEMA:
        message = f"the ledger {ledger.url!r} has schema {found}, newer than this program's {SCHEMA}"
        raise LedgerError(
            message, hint="install the tminus that wrote it, or a newer one; nothing was changed"
        )
    return found


def _write_ahead(ledger: Ledger) -> None:
    """
    Turn write-ahead logging on. Call this only after the file is known to be a tminus ledger, because it
    modifies the file.
    """
    with translate_db_errors(ledger.url), ledger.own_connection() as connection:

        def switch() -> bool:
            try:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            except sa.exc.OperationalError as error:
                # SQLite does not wait for another process that opens the same new file at this moment.
                if not is_busy(error.orig):
                    raise
                return False
            return True

        until_ns = SystemClock.monotonic_ns() + _BUSY_MS * MS
        if not wait_for(switch, until_ns=until_ns, pause_ns=_PAUSE_NS):
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")  # raises the error
