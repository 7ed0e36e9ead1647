"""Bring a ledger to the schema of this program: numbered migrations, forward only."""

from alembic import command
from alembic.config import Config
from sqlalchemy.engine import Connection

from tminus.ledger.tables import SCHEMA


def migrate(connection: Connection) -> None:
    """Run the migrations that a ledger lacks, in the transaction of this connection."""
    config = Config()
    config.set_main_option("script_location", "tminus.ledger:migrations")
    config.set_main_option("path_separator", "os")
    _prepare(connection)
    config.attributes["connection"] = connection
    command.upgrade(config, SCHEMA)


def _prepare(connection: Connection) -> None:
    """
    Wait until no other process migrates this ledger. The others then wait until this transaction ends.
    """
    if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
        connection.exec_driver_sql(
            "SELECT pg_advisory_xact_lock(hashtextextended('tminus migration ' || current_schema(), 0))"
        )
        # A table with millions of rows takes its time.
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
