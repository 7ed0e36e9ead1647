"""Texts of configurations, and the overwriting of deleted data."""

from tminus.ledger.databases import fail_if_busy
from tminus.ledger.db_errors import translate_db_errors
from tminus.ledger.engine import Ledger
from tminus.ledger.statements import insert_or_update
from tminus.ledger.tables import configs


def keep_config(ledger: Ledger, version: str, text: str, *, now_ns: int) -> None:
    """Store the text of a configuration, with the times at which it was first and last seen."""
    with ledger.write() as connection:
        keep = insert_or_update(connection, configs, key=["version"], changed=["last_seen_ns"])
        connection.execute(keep.values(version=version, text=text, first_seen_ns=now_ns, last_seen_ns=now_ns))


def empty_log(ledger: Ledger) -> bool:
    """
    Empty SQLite's write-ahead log, which may still hold deleted data, without waiting. PostgreSQL cleans up
    by itself.

    Returns:
        False if another connection uses the log; then nothing has changed.

    Raises:
        LedgerError: the ledger does not work.
    """
    if ledger.path is None:
        return True
    with translate_db_errors(ledger.url), ledger.own_connection() as connection, fail_if_busy(connection):
        return not connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
