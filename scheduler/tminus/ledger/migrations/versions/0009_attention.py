"""Failures in a row, for `pause_on_failure`; and occurrences that have not finished by their `finish_by`."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "failure_counts",
        sa.Column("job", sa.Text, primary_key=True),
        sa.Column("failures", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "overdue",
        sa.Column(
            "occurrence",
            _NUMBER,
            sa.ForeignKey("occurrences.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("finish_by_ns", sa.BigInteger, nullable=False),
        sa.Column("is_decided", sa.Boolean, nullable=False),
    )
    not_decided = sa.text("NOT is_decided")
    op.create_index(
        "overdue_not_decided",
        "overdue",
        ["occurrence"],
        sqlite_where=not_decided,
        postgresql_where=not_decided,
    )
