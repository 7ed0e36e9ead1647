"""
Upkeep: the history of a job and of an outcome are found by an index, and deleted history is known.

Most occurrences have no request, and have succeeded. They are not in the indexes of these columns, so a claim
writes as many entries as before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("schedules", sa.Column("deleted_until_ns", sa.BigInteger))
    # Until now, history was deleted without a note.
    op.execute(
        "UPDATE schedules SET deleted_until_ns = first.at_ns - 1 "
        "FROM (SELECT job, min(fire_time_ns) AS at_ns FROM occurrences GROUP BY job) AS first "
        "WHERE first.job = schedules.job AND first.at_ns > schedules.since_ns"
    )
    op.drop_index("occurrences_by_request", "occurrences")
    _index("occurrences_by_request", ["request"], "request IS NOT NULL")
    _index("occurrences_not_succeeded", ["outcome", "planned_at_ns"], "outcome <> 'succeeded'")
    op.create_index("occurrences_by_job", "occurrences", ["job", "planned_at_ns"])


def _index(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "occurrences", columns, sqlite_where=where, postgresql_where=where)
