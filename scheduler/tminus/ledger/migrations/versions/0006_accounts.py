"""
High-water marks, up to which each fire time has a row; canonical texts of schedules; tokens of claims.

Until now a schedule was the `repr` of its classes, and a job's newest row meant that all fire times before it
had one.
"""

import ast
import json

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

#: The classes as they were called in the old text, with the names of their values in the new one.
_PARTS = {
    "Cron": {"text": "cron", "zone": "zone"},
    "Every": {"interval_ns": "every_ns"},
    "Once": {"instant_ns": "at_ns"},
}


def upgrade() -> None:
    for table, column in (
        ("instances", "decided_until_ns"),
        ("occurrences", "covers_until_ns"),
        ("configs", "last_seen_ns"),
    ):
        op.add_column(table, sa.Column(column, sa.BigInteger))
    op.execute("UPDATE configs SET last_seen_ns = first_seen_ns")
    with op.batch_alter_table("configs") as configs:
        configs.alter_column("last_seen_ns", existing_type=sa.BigInteger, nullable=False)
    op.add_column("releases", sa.Column("token", sa.Text))
    op.create_index("releases_by_token", "releases", ["token"], unique=True)
    counted = sa.text("covers_until_ns IS NOT NULL")
    op.create_index(
        "occurrences_with_count",
        "occurrences",
        ["covers_until_ns"],
        sqlite_where=counted,
        postgresql_where=counted,
    )
    op.execute(
        "UPDATE schedules SET decided_until_ns = last.at_ns "
        "FROM (SELECT job, max(fire_time_ns) AS at_ns "
        "FROM occurrences WHERE origin = 'schedule' GROUP BY job) AS last "
        "WHERE last.job = schedules.job AND schedules.until_ns IS NULL "
        "AND last.at_ns > schedules.decided_until_ns"
    )
    op.execute("UPDATE schedules SET decided_until_ns = until_ns WHERE until_ns IS NOT NULL")
    _rewrite_schedules()


def _rewrite_schedules() -> None:
    schedules = sa.table("schedules", sa.column("schedule", sa.Text))
    connection = op.get_bind()
    for old in connection.scalars(sa.select(schedules.c.schedule).distinct()).all():
        connection.execute(
            schedules.update().where(schedules.c.schedule == old).values(schedule=_canonical(old))
        )


def _canonical(old: str) -> str:
    """Return the canonical text for an old one; empty if the old one is not understood."""
    try:
        tree = ast.parse(old, mode="eval").body
        parts = [_part(one) for one in tree.elts] if isinstance(tree, ast.Tuple) else []
    except (ValueError, SyntaxError, KeyError, AttributeError, RecursionError):
        return ""
    texts = {json.dumps(part) for part in parts}
    return f"[{', '.join(sorted(texts))}]" if texts else ""


def _part(call: ast.expr) -> dict[str, object]:
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
        raise ValueError("not a part")
    names = _PARTS[call.func.id]
    found = {names[one.arg]: ast.literal_eval(one.value) for one in call.keywords if one.arg}
    if call.args or found.keys() != set(names.values()):
        raise ValueError("not the values of a part")
    return found
