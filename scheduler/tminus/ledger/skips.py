"""Fire times that are skipped one by one."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tminus.ledger import pauses
from tminus.ledger.rows import storable
from tminus.ledger.statements import insert_or_skip
from tminus.ledger.tables import skips
from tminus.policies.withheld import Withheld


def add(connection: Connection, job: str, fire_time_ns: int, *, by: str, now_ns: int) -> None:
    """Skip a fire time of a job, in the caller's transaction. It may be repeated; the first one counts."""
    row = {"job": job, "fire_time_ns": fire_time_ns, "by": storable(by), "created_ns": now_ns}
    connection.execute(insert_or_skip(connection, skips), [row])


def load(connection: Connection) -> Withheld:
    """Return all pauses, suspensions and skips of the ledger."""
    found = connection.execute(sa.select(skips.c.job, skips.c.fire_time_ns, skips.c.by))
    return Withheld(
        pauses=pauses.load(connection),
        suspensions=pauses.load(connection, suspensions=True),
        skips={(job, at_ns): by for job, at_ns, by in found},
    )


def is_old_skip(before_ns: int) -> sa.ColumnElement[bool]:
    """Return the condition for the skips of fire times before this instant."""
    return skips.c.fire_time_ns < before_ns
