"""
The shared state of an application: named values. A change is one transaction, and durable when the call
returns.

Values are JSON text with sorted keys, so that equal values have equal texts. None stands for a name without a
value.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tminus.errors import UsageError
from tminus.ledger.engine import Ledger
from tminus.ledger.statements import insert_or_update
from tminus.ledger.tables import state

_LARGEST = 2**63 - 1
_NUMBER = sa.text("SELECT pg_current_xact_id()::text")
_STATUS = sa.text("SELECT pg_xact_status(CAST(:number AS xid8))")


def get(ledger: Ledger, app: str, name: str) -> str | None:
    """Return the value of a name, as JSON."""
    with ledger.read() as connection:
        return connection.execute(sa.select(state.c.value).where(_has_name(app, name))).scalar()


def put(ledger: Ledger, app: str, name: str, value: str | None) -> None:
    """Set a name to a value, whatever it had."""
    with ledger.write() as connection:
        _write(connection, app, name, value)


def incr(ledger: Ledger, app: str, name: str, by: int) -> int:
    """
    Add to a counter. A name without a value counts from 0.

    Returns:
        The new value.

    Raises:
        UsageError: the value is not an integer, or would not fit into 64 bits.
    """
    with _write_once(ledger) as connection:
        value = json.loads(_lock_value(connection, app, name) or "0")
        if type(value) is not int:
            raise UsageError(
                f"{name!r} is not a counter: its value is {json.dumps(value):.40}",
                hint="set it to a number first",
            )
        if not -_LARGEST <= value + by <= _LARGEST:
            raise UsageError(f"the counter {name!r} is {value}; {by:+} does not fit into 64 bits")
        _write(connection, app, name, str(value + by))
        return value + by


def compare_and_set(ledger: Ledger, app: str, name: str, expected: str | None, value: str | None) -> bool:
    """Set a name to a value if it has the expected one; return False if it has another one."""
    with _write_once(ledger) as connection:
        found = _lock_value(connection, app, name)
        # If they differ, the found value is written back, because `_lock_value` may have inserted a row.
        _write(connection, app, name, value if found == expected else found)
        return found == expected


@contextlib.contextmanager
def _write_once(ledger: Ledger) -> Iterator[Connection]:
    """
    Run one transaction that must not be repeated if its commit raised: to count again would count twice.
    PostgreSQL knows whether it was committed.

    Raises:
        LedgerError: it was not committed. On SQLite, or while PostgreSQL does not answer, that is not known.
    """
    number = None

    def is_durable(other: Connection) -> bool:
        return number is not None and other.execute(_STATUS, {"number": number}).scalar() == "committed"

    with ledger.write(is_durable=is_durable) as connection:
        number = connection.execute(_NUMBER).scalar() if ledger.path is None else None
        yield connection


#: By the names that applications use.
OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "get": get,
    "set": put,
    "incr": incr,
    "compare_and_set": compare_and_set,
}


def _has_name(app: str, name: str) -> sa.ColumnElement[bool]:
    return sa.and_(state.c.app == app, state.c.name == name)


def _lock_value(connection: Connection, app: str, name: str) -> str | None:
    """Return the value of a name. No other transaction changes it until this one ends."""
    # A missing row is inserted first: PostgreSQL cannot lock a row that does not exist.
    insert = insert_or_update(connection, state, key=("app", "name"), changed=("name",)).returning(
        state.c.value
    )
    found: str = connection.execute(insert.values(app=app, name=name, value="")).scalar_one()
    return found or None


def _write(connection: Connection, app: str, name: str, value: str | None) -> None:
    if value is None:
        connection.execute(state.delete().where(_has_name(app, name)))
    else:
        insert = insert_or_update(connection, state, key=("app", "name"), changed=("value",))
        connection.execute(insert.values(app=app, name=name, value=value))
