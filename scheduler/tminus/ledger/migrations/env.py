"""
Run by Alembic: migrate on the connection, and in the transaction, of `tminus.ledger.migrate`.
"""

from alembic import context

from tminus.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="tminus_schema",
    render_as_batch=True,
)
context.run_migrations()
