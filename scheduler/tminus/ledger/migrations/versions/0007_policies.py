"""
Policies: notifications, occurrences that wait until their job has room, due times of further attempts, and
what operators ask for.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("occurrences", sa.Column("buffered_ns", sa.BigInteger))
    op.add_column("occurrences", sa.Column("next_attempt_ns", sa.BigInteger))
    op.add_column("occurrences", sa.Column("cause", sa.Text))
    op.add_column("attempts", sa.Column("request", sa.Text))
    _notifications()
    _operators()


def _operators() -> None:
    op.add_column("occurrences", sa.Column("resolved", sa.Text))
    op.add_column("occurrences", sa.Column("resolved_by", sa.Text))
    op.add_column("occurrences", sa.Column("resolved_ns", sa.BigInteger))
    op.add_column("requests", sa.Column("by", sa.Text))
    op.create_table(
        "pauses",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("since_ns", sa.BigInteger, nullable=False),
        sa.Column("until_ns", sa.BigInteger),
        sa.Column("ended_ns", sa.BigInteger),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("ended_by", sa.Text),
    )
    op.create_table(
        "skips",
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("fire_time_ns", sa.BigInteger, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("job", "fire_time_ns"),
    )


def _notifications() -> None:
    op.create_table(
        "notices",
        sa.Column(
            "occurrence",
            _NUMBER,
            sa.ForeignKey("occurrences.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
    )
    op.create_table(
        "alerts",
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("since_ns", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.BigInteger, nullable=False),
        sa.Column("untold", sa.BigInteger, nullable=False),
        sa.Column("told_at_ns", sa.BigInteger),
        sa.Column("is_failing", sa.Boolean, nullable=False),
        sa.Column("is_told", sa.Boolean, nullable=False),
        sa.Column("last", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("channel", "job"),
    )
    op.create_table(
        "notifications",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next_try_ns", sa.BigInteger, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("sent_ns", sa.BigInteger),
        sa.Column("given_up_ns", sa.BigInteger),
        sa.UniqueConstraint("channel", "kind", "about", name="one_notification_per_subject"),
    )
    to_deliver = sa.text("sent_ns IS NULL AND given_up_ns IS NULL")
    op.create_index(
        "notifications_to_deliver",
        "notifications",
        ["next_try_ns"],
        sqlite_where=to_deliver,
        postgresql_where=to_deliver,
    )
