"""The spine: instances, configurations, schedules, releases, occurrences, attempts, requests."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "instances",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("boot_id", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("config_version", sa.Text),
        sa.Column("config_error", sa.Text),
        sa.Column("started_ns", sa.BigInteger, nullable=False),
        sa.Column("beat_ns", sa.BigInteger, nullable=False),
        sa.Column("stopped_ns", sa.BigInteger),
    )
    op.create_table(
        "configs",
        sa.Column("version", sa.Text, primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("first_seen_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "schedules",
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("since_ns", sa.BigInteger, nullable=False),
        sa.Column("until_ns", sa.BigInteger),
        sa.Column("decided_until_ns", sa.BigInteger, nullable=False),
        sa.Column("schedule", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("job", "since_ns"),
    )
    op.create_table(
        "releases",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("planned_at_ns", sa.BigInteger, nullable=False),
        sa.Column("instance", sa.Text, sa.ForeignKey("instances.id"), nullable=False),
        sa.Column("releasing_ns", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "requests",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("taken_by", sa.Text, sa.ForeignKey("instances.id")),
        sa.Column("answer", sa.Text),
        sa.Column("withdrawn_ns", sa.BigInteger),
    )
    not_taken = sa.text("taken_by IS NULL AND withdrawn_ns IS NULL")
    op.create_index(
        "requests_not_taken", "requests", ["created_ns"], sqlite_where=not_taken, postgresql_where=not_taken
    )
    _occurrences()


def _occurrences() -> None:
    op.create_table(
        "occurrences",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("fire_time_ns", sa.BigInteger, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("planned_at_ns", sa.BigInteger, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("params", sa.Text, nullable=False),
        sa.Column("config_version", sa.Text, nullable=False),
        sa.Column("retry_of", sa.Text),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("release", _NUMBER, sa.ForeignKey("releases.number")),
        sa.Column("request", sa.Text, sa.ForeignKey("requests.id")),
        sa.Column("outcome", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("started_at_ns", sa.BigInteger),
        sa.Column("finished_at_ns", sa.BigInteger),
        sa.Column("duration_ns", sa.BigInteger),
        sa.Column("armed", sa.Boolean),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("http_status", sa.Integer),
        sa.Column("executor", sa.Text),
        sa.UniqueConstraint("job", "fire_time_ns", "run", name="one_owner_per_occurrence"),
    )
    no_outcome = sa.text("outcome IS NULL")
    op.create_index("occurrences_by_batch", "occurrences", ["planned_at_ns"])
    op.create_index("occurrences_by_release", "occurrences", ["release"])
    op.create_index("occurrences_by_request", "occurrences", ["request"])
    op.create_index(
        "occurrences_without_outcome",
        "occurrences",
        ["state"],
        sqlite_where=no_outcome,
        postgresql_where=no_outcome,
    )
    op.create_table(
        "attempts",
        sa.Column("occurrence", _NUMBER, sa.ForeignKey("occurrences.id", ondelete="CASCADE"), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("started_at_ns", sa.BigInteger),
        sa.Column("finished_at_ns", sa.BigInteger, nullable=False),
        sa.Column("duration_ns", sa.BigInteger, nullable=False),
        sa.Column("armed", sa.Boolean, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("http_status", sa.Integer),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("body_size", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("occurrence", "attempt"),
    )
