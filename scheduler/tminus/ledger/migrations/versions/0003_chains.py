"""Chains: the links of a run, and the value for the next one (`failure`: whether that is a failure)."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _occurrence() -> sa.Column[int]:
    return sa.Column(
        "occurrence", _NUMBER, sa.ForeignKey("occurrences.id", ondelete="CASCADE"), nullable=False
    )


def upgrade() -> None:
    op.create_table(
        "links",
        _occurrence(),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("link", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("started_at_ns", sa.BigInteger),
        sa.Column("finished_at_ns", sa.BigInteger),
        sa.Column("output", sa.LargeBinary),
        sa.PrimaryKeyConstraint("occurrence", "position"),
    )
    op.create_table(
        "chains",
        _occurrence(),
        sa.Column("failure", sa.Boolean, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("occurrence"),
    )
