"""To hear of changes: what others ask for or hand over is noticed soon, and waiting for it costs next to nothing."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy.engine import Connection

from scheduler.errors import LedgerError
from scheduler.ledger.databases import in_our_words
from scheduler.ledger.engine import Ledger

#: SQLite is looked at this often: a look into shared memory.
_LOOK_S = 0.03
#: PostgreSQL says it by itself; who waits is asked this often whether it is to stop.
_SLICE_S = 0.2
#: Even where nothing is heard, the wait ends then: a pooler between us and the database may swallow what it says.
_LONGEST_S = 2.0

#: Of this ledger, for a database may have one in each schema.
_CHANNEL = "'tminus_' || md5(current_schema())"

#: Waits for a change since the last time, until something is heard, or `stop`, or a while has gone by.
#: Raises LedgerError: the ledger does not work.
Wait = Callable[[threading.Event], None]


def change_counter(connection: Connection) -> int | None:
    """
    A number that moves when another connection has written, at the cost of a look into shared memory; None on PostgreSQL.

    Source: sqlite.org/pragma.html#pragma_data_version. Ask on one connection only, one outside of any transaction.

    Raises:
        LedgerError: it cannot be read.
    """
    if connection.dialect.name != "sqlite":
        return None
    with in_our_words(connection.engine.url):
        return int(connection.exec_driver_sql("PRAGMA data_version").scalar_one())


def tell(connection: Connection) -> None:
    """In the transaction of what others wait for: they hear of it when it is durable. Source: PostgreSQL's NOTIFY."""
    if connection.dialect.name == "postgresql":  # SQLite shows it in the counter
        connection.exec_driver_sql(f"SELECT pg_notify({_CHANNEL}, '')")


@contextlib.contextmanager
def heard(ledger: Ledger) -> Iterator[Wait]:
    """
    Begin to listen. On a connection of its own, for one thread; every write counts on SQLite, what was told on PostgreSQL.

    Raises:
        LedgerError: the ledger does not work.
    """
    with in_our_words(ledger.url), ledger.own_connection() as connection:
        yield _by_notice(connection) if ledger.path is None else _by_counter(connection)


def _by_counter(connection: Connection) -> Wait:
    seen = change_counter(connection)

    def wait(stop: threading.Event) -> None:
        nonlocal seen
        for _ in range(round(_LONGEST_S / _LOOK_S)):
            if stop.wait(_LOOK_S) or change_counter(connection) != seen:
                break
        seen = change_counter(connection)

    return wait


def _by_notice(connection: Connection) -> Wait:
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
