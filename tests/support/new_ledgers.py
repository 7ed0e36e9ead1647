"""New ledgers, empty. Their migrations run once per process of tests, and not once per test."""

import atexit
import contextlib
import functools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

from tests.support.postgres import a_schema_of_its_own, connect, new_name, url_of
from tminus.ledger.engine import Ledger, open_ledger
from tminus.ledger.tables import metadata

_CHANGES = ("CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE")


def put_ledger(folder: Path) -> None:
    """Put one into `ledger.db` in this folder, which only its user can read afterwards."""
    shutil.copytree(_migrated_folder(), folder, dirs_exist_ok=True)


def new_ledger(folder: Path) -> Ledger:
    """Return one in `ledger.db` in this folder, open. The caller closes it."""
    put_ledger(folder)
    return open_ledger(f"sqlite:///{folder}/ledger.db")


@contextmanager
def ledger_in_a_file(folder: Path) -> Iterator[Ledger]:
    """One in `ledger/ledger.db` below this folder, open."""
    ledger = new_ledger(folder / "ledger")
    yield ledger
    ledger.close()


@contextmanager
def ledger_on_postgresql() -> Iterator[Ledger]:
    """
    One in a schema of its own, open.

    To create and drop a schema takes PostgreSQL forty times as long as to empty its tables. So a schema is used
    again, unless its test has changed the tables.
    """
    schema = _free.pop() if _free else _Schema()
    ledger = open_ledger(url_of(schema.name))
    try:
        yield ledger
    finally:
        ledger.close()
        if schema.is_new_again():
            _free.append(schema)
        else:
            schema.drop()


class _Schema:
    """A schema with the tables of a ledger, and a connection, because a new one takes longer than to empty them."""

    def __init__(self) -> None:
        self.name = new_name()
        self._connection = connect()
        self._connection.execute(f"CREATE SCHEMA {self.name}; SET search_path = {self.name}; {_migrations()}")
        self._definitions = self._connection.execute(_DEFINITIONS).fetchone()

    def is_new_again(self) -> bool:
        """
        Rename it, so that locks and processes that a test has left have nothing to do with it, and empty it. Return
        whether it is then as a new one.
        """
        with contextlib.suppress(psycopg.Error):
            name = new_name()
            self._connection.execute(f"SET lock_timeout = '5s'; ALTER SCHEMA {self.name} RENAME TO {name}")
            self.name = name
            self._connection.execute(f"SET search_path = {name}; {_EMPTY}")
            return self._connection.execute(_DEFINITIONS).fetchone() == self._definitions
        return False

    def drop(self) -> None:
        """Drop it."""
        self._connection.close()
        with connect() as connection:
            connection.execute(f"DROP SCHEMA {self.name} CASCADE")


#: Schemas that no test uses now.
_free: list[_Schema] = []


@atexit.register
def _drop_all() -> None:
    while _free:
        _free.pop().drop()


_EMPTY = ";".join(
    [
        *(str(sa.delete(table)) for table in reversed(metadata.sorted_tables)),
        *(
            f"ALTER SEQUENCE {table.name}_{column.name}_seq RESTART"
            for table in metadata.sorted_tables
            if (column := table.autoincrement_column) is not None
        ),
    ]
)
#: The columns and triggers of a schema, and the version of its ledger.
_DEFINITIONS = """
    SELECT (SELECT string_agg(schema::text, ',') FROM tminus_schema AS schema), string_agg(name, ',' ORDER BY name)
      FROM (
        SELECT concat_ws(' ', relname, attname, atttypid, attnotnull) AS name
          FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
         WHERE relnamespace = current_schema()::regnamespace AND NOT attisdropped
        UNION ALL
        SELECT concat_ws(' ', relname, tgname, tgenabled) FROM pg_class JOIN pg_trigger ON tgrelid = pg_class.oid
         WHERE relnamespace = current_schema()::regnamespace AND NOT tgisinternal
      ) AS named
"""


@functools.cache
def _migrated_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tminus-ledger-"))
    atexit.register(shutil.rmtree, folder)
    open_ledger(f"sqlite:///{folder}/ledger/ledger.db").close()
    return folder / "ledger"


@functools.cache
def _migrations() -> str:
    """All statements that change something while a ledger is created."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.lstrip().upper().startswith(_CHANGES):
            assert not parameters, statement
            statements.append(statement)

    with a_schema_of_its_own() as url:
        sa.event.listen(sa.Engine, "before_cursor_execute", note)
        try:
            open_ledger(url).close()
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", note)
    return ";\n".join(statements)
