"""A whole ledger: its integrity, a backup of a SQLite file, and a copy into another database."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tminus.errors import LedgerError, UsageError
from tminus.ledger.db_errors import translate_db_errors
from tminus.ledger.engine import Ledger
from tminus.ledger.tables import metadata

#: Rows per transaction of a copy.
_CHUNK = 1_000
#: Faults of an integrity check that are reported.
_MOST_FAULTS = 20


def integrity_faults(ledger: Ledger) -> list[str]:
    """
    Return what is wrong with the ledger's database, empty if nothing is. On PostgreSQL, which checks itself,
    only references between rows are checked.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with ledger.read() as connection:
        faults = _sqlite_faults(connection) if ledger.path is not None else []
        faults += [fault for table in metadata.sorted_tables for fault in _dangling(connection, table)]
    return faults[:_MOST_FAULTS]


def back_up(ledger: Ledger, path: Path) -> None:
    """
    Write a consistent copy of a SQLite ledger into a new file, while others use the ledger.

    Raises:
        UsageError: the file exists, or the ledger is not a SQLite file.
        LedgerError: the copy cannot be written.
    """
    if ledger.path is None:
        hint = "tminus db copy sqlite:////path/to/FILE, or pg_dump"
        raise UsageError("`db backup` is for a SQLite ledger", hint=hint)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise UsageError(f"{path} exists", hint="name a new file") from None
    except OSError as error:
        raise LedgerError(f"cannot write {path}: {error.strerror}") from None
    try:
        with translate_db_errors(ledger.url), ledger.own_connection() as connection:
            connection.exec_driver_sql("VACUUM INTO ?", (str(path),))
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def count_rows(ledger: Ledger) -> int:
    """Return the number of rows of all tables."""
    with ledger.read() as connection:
        return sum(
            connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        )


def copy_rows(source: Ledger, target: Ledger, *, on_rows: Callable[[int], object]) -> None:
    """
    Copy all rows into an empty ledger of any kind. Nothing may write to either of them meanwhile.

    Args:
        on_rows: Called with the number of rows that are copied so far.

    Raises:
        UsageError: the target has rows.
        LedgerError: one of the ledgers does not work; the target is not complete then.
    """
    if count_rows(target):
        raise UsageError(f"the ledger {target.url!r} is not empty", hint="name a new one")
    copied = 0
    for table in metadata.sorted_tables:
        for rows in _pages(source, table):
            with target.write() as connection:
                connection.execute(table.insert(), rows)
            copied += len(rows)
            on_rows(copied)
    if target.path is None:
        _set_sequences(target)


def _pages(ledger: Ledger, table: sa.Table) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of a table by its primary key; each page is a transaction of its own."""
    key = sa.tuple_(*table.primary_key.columns)
    query = sa.select(table).order_by(*table.primary_key.columns).limit(_CHUNK)
    page = query
    while True:
        with ledger.read() as connection:
            rows = [dict(row) for row in connection.execute(page).mappings()]
        if rows:
            yield rows
        if len(rows) < _CHUNK:
            return
        page = query.where(key > tuple(rows[-1][column.name] for column in table.primary_key.columns))


def _set_sequences(ledger: Ledger) -> None:
    """Let PostgreSQL count on from the copied numbers."""
    with ledger.write() as connection:
        for table in metadata.sorted_tables:
            column = table.autoincrement_column
            if column is not None and (last := connection.scalar(sa.select(sa.func.max(column)))):
                sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
                connection.execute(sa.select(sa.func.setval(sequence, last)))


def _sqlite_faults(connection: Connection) -> list[str]:
    found = connection.exec_driver_sql(f"PRAGMA integrity_check({_MOST_FAULTS})").scalars().all()
    return [str(fault) for fault in found if fault != "ok"]


def _dangling(connection: Connection, table: sa.Table) -> Iterator[str]:
    """Yield a fault for each reference of a table to rows that do not exist."""
    for reference in table.foreign_keys:
        column, other = reference.parent, reference.column
        is_there = sa.exists().where(other == column)
        query = sa.select(sa.func.count()).select_from(table).where(column.is_not(None), ~is_there)
        if count := connection.scalar(query):
            yield f"{count} rows of {table.name} refer to rows of {other.table.name} that do not exist"
