"""Whether a failure flowed out of a chain."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("occurrences", sa.Column("chain_failure", sa.Boolean))
