"""Arming costs: a daemon that starts knows what an earlier one has learned."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("instances", sa.Column("arming_costs", sa.Text))
