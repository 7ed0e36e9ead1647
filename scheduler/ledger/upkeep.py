"""Configurations kept, old history let go."""

import sqlalchemy as sa

from scheduler.ledger.engine import Ledger, insert_or_skip
from scheduler.ledger.tables import configs, occurrences, requests

#: Rows a transaction, so that nobody waits long for the writer.
_CHUNK = 500


def keep_config(ledger: Ledger, version: str, text: str, *, now_ns: int) -> None:
    """Keep the text of a configuration: a claim runs by the one that it was made under."""
    with ledger.write() as connection:
        connection.execute(insert_or_skip(connection, configs).values(version=version, text=text, first_seen_ns=now_ns))


def prune(ledger: Ledger, *, before_ns: int) -> bool:
    """Delete some occurrences that were planned and have ended before that; True where there may be more."""
    old = sa.and_(occurrences.c.planned_at_ns < before_ns, occurrences.c.outcome.is_not(None))
    some = sa.select(occurrences.c.id).where(old).order_by(occurrences.c.planned_at_ns).limit(_CHUNK)
    with ledger.write() as connection:
        deleted = connection.execute(occurrences.delete().where(occurrences.c.id.in_(some))).rowcount
        left = sa.select(occurrences.c.request).where(occurrences.c.request.is_not(None))
        done = sa.and_(requests.c.created_ns < before_ns, requests.c.id.not_in(left))
        connection.execute(requests.delete().where(done))
    return deleted == _CHUNK
