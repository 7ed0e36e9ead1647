"""Between rows and values: the statements that claims and outcomes share."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from scheduler.ledger.engine import insert_or_skip
from scheduler.ledger.tables import occurrences
from scheduler.model.batch import Decided, Due
from scheduler.model.occurrence import OccurrenceId
from scheduler.outcome import State

#: Rows a statement: SQLite allows 32,766 variables in one.
CHUNK = 1_000

KEY = (occurrences.c.job, occurrences.c.fire_time_ns, occurrences.c.run)
OPEN = occurrences.c.outcome.is_(None)
_IS = sa.and_(*(column == sa.bindparam(f"key_{column.name}") for column in KEY))


def storable(text: str | None) -> str | None:
    """Text that every database takes: PostgreSQL stores no NUL, and none stores half of a surrogate pair."""
    return text and text.replace("\0", r"\x00").encode(errors="backslashreplace").decode()


def key(identity: OccurrenceId) -> dict[str, Any]:
    """What `update_each` finds a row by."""
    return {"key_job": identity.job, "key_fire_time_ns": identity.fire_time_ns, "key_run": identity.run}


def are(ids: Sequence[OccurrenceId]) -> Iterator[sa.ColumnElement[bool]]:
    """Conditions that are met by these rows and no others, each short enough for one statement."""
    for start in range(0, len(ids), CHUNK):
        yield sa.tuple_(*KEY).in_([(one.job, one.fire_time_ns, one.run) for one in ids[start : start + CHUNK]])


def identities(rows: Iterable[Sequence[Any]]) -> set[OccurrenceId]:
    """Rows of KEY's three columns as ids."""
    return {OccurrenceId(job=job, fire_time_ns=fire_time_ns, run=run) for job, fire_time_ns, run in rows}


def new_row(item: Due | Decided, **more: Any) -> dict[str, Any]:
    """A row for an occurrence that the ledger does not have yet."""
    return {
        "job": item.id.job,
        "fire_time_ns": item.id.fire_time_ns,
        "run": item.id.run,
        "planned_at_ns": item.planned_at_ns,
        "origin": item.origin.value,
        "config_version": item.config_version,
        "params": json.dumps(dict(item.params)) if isinstance(item, Due) else "{}",
        "attempts": 0,
        "count": 1,
        **more,
    }


def insert_new(connection: Connection, rows: Sequence[dict[str, Any]]) -> set[OccurrenceId]:
    """Insert occurrences; returns those that were not there before. Who inserts, owns."""
    if not rows:
        return set()
    return identities(connection.execute(insert_or_skip(connection, occurrences).returning(*KEY), list(rows)))


def update_each(connection: Connection, condition: Any, changes: Sequence[dict[str, Any]]) -> None:
    """Change occurrences, each by its own values under the same names; those that do not meet the condition stay."""
    if changes:
        names = [name for name in changes[0] if not name.startswith("key_")]
        statement = occurrences.update().where(_IS, condition).values({name: sa.bindparam(name) for name in names})
        connection.execute(statement, list(changes))


def end_unstarted(connection: Connection, decisions: Iterable[Decided], now_ns: int, condition: Any = OPEN) -> None:
    """Give occurrences that have a row and no outcome the one that was decided."""
    update_each(connection, condition, [key(decided.id) | ending(decided, now_ns) for decided in decisions])


def ending(decided: Decided, now_ns: int) -> dict[str, Any]:
    """The columns of an occurrence that ends unstarted."""
    return {
        "state": State.FINISHED.value,
        "outcome": decided.outcome.value,
        "reason": storable(decided.reason),
        "count": decided.count,
        "finished_at_ns": now_ns,
    }
