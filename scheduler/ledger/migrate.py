"""Bring a ledger to the schema of this program: numbered migrations, forward only."""

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from scheduler.errors import LedgerError
from scheduler.ledger.engine import Ledger
from scheduler.ledger.tables import SCHEMA


def migrate(ledger: Ledger, found: str | None) -> None:
    """
    Run the migrations that a ledger lacks, in one transaction.

    Args:
        ledger: The open ledger.
        found: Its schema; None for an empty one.

    Raises:
        LedgerError: it was made by a newer program. Nothing is written then.
    """
    config = Config()
    config.set_main_option("script_location", "scheduler.ledger:migrations")
    config.set_main_option("path_separator", "os")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        said = f"the ledger {ledger.url!r} has schema {found}, newer than this program's {SCHEMA}"
        raise LedgerError(said, hint="install the tminus that wrote it, or a newer one; nothing was changed")
    with ledger.write() as connection:
        _alone(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, SCHEMA)


def _alone(connection: Connection) -> None:
    """Wait until no other process migrates this ledger; hold the others off until the transaction ends."""
    if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended('tminus migration ' || current_schema(), 0))")
