"""INSERT statements for rows that may exist, in the dialect of each database."""

import importlib
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection


def insert_or_skip(connection: Connection, table: sa.Table) -> Any:
    """Return an INSERT that does not change a row that exists."""
    return _dialect(connection).insert(table).on_conflict_do_nothing()


def insert_rows_or_skip(
    connection: Connection,
    table: sa.Table,
    rows: Sequence[dict[str, Any]],
    *,
    returning: Sequence[sa.Column[Any]],
) -> sa.CursorResult[Any]:
    """
    Insert rows, all with the same columns; skip those that exist. Return the columns `returning` of the new
    rows.
    """
    insert = insert_or_skip(connection, table).returning(*returning)
    if connection.dialect.name != "postgresql":
        return connection.execute(insert, list(rows))
    # One array per column: psycopg needs half a second for a statement with 13,000 placeholders on a busy
    # machine.
    names = list(rows[0])
    arrays = [
        sa.cast([row[name] for row in rows], sa.ARRAY(table.c[name].type, dimensions=1)) for name in names
    ]
    source = sa.func.unnest(*arrays).table_valued(*names).render_derived()
    return connection.execute(insert.from_select(names, sa.select(*(source.c[name] for name in names))))


def _dialect(connection: Connection) -> Any:
    """
    Return SQLAlchemy's module for this database. To import both modules would take as long as a query.
    """
    return importlib.import_module(f"sqlalchemy.dialects.{connection.dialect.name}")


def insert_or_update(
    connection: Connection, table: sa.Table, *, key: Sequence[str], changed: Sequence[str]
) -> Any:
    """Return an INSERT that sets the columns `changed` of a row with that key if it exists."""
    statement = _dialect(connection).insert(table)
    return statement.on_conflict_do_update(
        index_elements=key, set_={name: statement.excluded[name] for name in changed}
    )
