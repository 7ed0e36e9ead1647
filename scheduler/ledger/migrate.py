"""Bring a ledger to the schema of this program: numbered migrations, forward only."""

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from scheduler.errors import LedgerError
from scheduler.ledger.engine import Ledger, migrate_alone
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
        migrate_alone(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, SCHEMA)
