"""Notice changes of the ledger soon, such as a new request or background run, at next to no cost."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy.engine import Connection

from tminus.errors import LedgerError
from tminus.ledger.db_errors import translate_db_errors
from tminus.ledger.engine import Ledger

#: Time between two checks of SQLite. Each reads shared memory.
_CHECK_S = 0.03
#: PostgreSQL notifies by itself. Time between two checks whether the wait is to stop.
_SLICE_S = 0.2
#: A wait ends after this time even without a NOTIFY, because a pooler in between may swallow it.
_LONGEST_S = 2.0

#: The channel of this ledger, because a database may have a ledger in each schema.
_CHANNEL = "'tminus_' || md5(current_schema())"

#: Waits for a change since the last call. It returns when `stop` is set, too, and after `_LONGEST_S`.
#: Raises LedgerError: the ledger does not work.
Wait = Callable[[threading.Event], None]


def change_counter(connection: Connection) -> int | None:
    """
    Return a number that changes when another connection has written; None on PostgreSQL. The call only reads
    shared memory.

    Source: sqlite.org/pragma.html#pragma_data_version. Ask on one connection only, one outside of any
    transaction.

    Raises:
        LedgerError: it cannot be read.
    """
    if connection.dialect.name != "sqlite":
        return None
    with translate_db_errors(connection.engine.url):
        return int(connection.exec_driver_sql("PRAGMA data_version").scalar_one())


def publish(connection: Connection) -> None:
    """Notify the others of a change when this transaction is durable, by PostgreSQL's NOTIFY."""
    if connection.dialect.name == "postgresql":  # SQLite shows it in the counter
        connection.exec_driver_sql(f"SELECT pg_notify({_CHANNEL}, '')")


@contextlib.contextmanager
def subscribe(ledger: Ledger) -> Iterator[Wait]:
    """
    Listen for changes, on a connection of its own and for one thread. On SQLite every write is a change, on
    PostgreSQL every NOTIFY. Yields a function that waits for one.

    Raises:
        LedgerError: the ledger does not work.
    """
    with translate_db_errors(ledger.url), ledger.own_connection() as connection:
        yield _by_notify(connection) if ledger.path is None else _by_counter(connection)


def _by_counter(connection: Connection) -> Wait:
    seen = change_counter(connection)

    def wait(stop: threading.Event) -> None:
        nonlocal seen
        for _ in range(round(_LONGEST_S / _CHECK_S)):
            if stop.wait(_CHECK_S) or change_counter(connection) != seen:
                break
        seen = change_counter(connection)

    return wait


def _by_notify(connection: Connection) -> Wait:
    import psycopg

    raw: Any = connection.connection.driver_connection
    channel = connection.exec_driver_sql(f"SELECT {_CHANNEL}").scalar_one()
    connection.exec_driver_sql(f'LISTEN "{channel}"')

    def wait(stop: threading.Event) -> None:
        try:
            for _ in range(round(_LONGEST_S / _SLICE_S)):
                if stop.is_set() or list(raw.notifies(timeout=_SLICE_S, stop_after=1)):
                    return
        except psycopg.Error as error:
            raise LedgerError(f"the ledger {connection.engine.url!r} does not work: {error}") from error

    return wait
