"""Bring a ledger to the schema of this program: numbered migrations, forward only."""

from alembic import command
from alembic.config import Config
from sqlalchemy.engine import Connection

from scheduler.ledger.engine import Ledger
from scheduler.ledger.tables import SCHEMA


def migrate(ledger: Ledger) -> None:
    """Run the migrations that a ledger lacks, in one transaction."""
    config = Config()
    config.set_main_option("script_location", "scheduler.ledger:migrations")
    config.set_main_option("path_separator", "os")
    with ledger.write() as connection:
        _prepare(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, SCHEMA)


def _prepare(connection: Connection) -> None:
    """Wait until no other process migrates this ledger, and hold the others off until the transaction ends."""
    if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended('tminus migration ' || current_schema(), 0))")
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # a table with millions of rows takes its time
