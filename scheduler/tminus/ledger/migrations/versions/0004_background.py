"""Background runs, and the applications whose runs a daemon takes."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column(
            "occurrence",
            _NUMBER,
            sa.ForeignKey("occurrences.id", ondelete="CASCADE"),
            nullable=False,
            unique=True,
        ),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("ref", sa.Text, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("given", sa.Text),
        sa.Column("progress", sa.Float),
        sa.Column("progress_text", sa.Text),
        sa.Column("result", sa.Text),
    )
    op.create_table("apps", sa.Column("name", sa.Text, primary_key=True))
