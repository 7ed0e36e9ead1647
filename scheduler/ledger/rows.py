"""Conversions between rows and values, and the statements that several modules share."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from scheduler.ledger.engine import insert_or_skip
from scheduler.ledger.tables import occurrences
from scheduler.model.batch import Decided, Due
from scheduler.model.occurrence import Attempt, OccurrenceId
from scheduler.outcome import Origin, State

#: Rows per statement: SQLite allows 32,766 variables in one.
CHUNK = 1_000

KEY = (occurrences.c.job, occurrences.c.fire_time_ns, occurrences.c.run)
OPEN = occurrences.c.outcome.is_(None)
_IS = sa.and_(*(column == sa.bindparam(f"key_{column.name}") for column in KEY))


#: Gets the row number of each occurrence that is left out because it makes no sense. Without it, such a row raises ValueError.
Unreadable = Callable[[int], object]


def storable(text: str | None) -> str | None:
    """Return a text that every database can store: PostgreSQL stores no NUL, and none stores half of a surrogate pair."""
    return text and text.replace("\0", r"\x00").encode(errors="backslashreplace").decode()


def key(identity: OccurrenceId) -> dict[str, Any]:
    """Return the values by which `update_each` finds a row."""
    return {"key_job": identity.job, "key_fire_time_ns": identity.fire_time_ns, "key_run": identity.run}


def are(ids: Sequence[OccurrenceId]) -> Iterator[sa.ColumnElement[bool]]:
    """Yield conditions that together match exactly these occurrences, each short enough for one statement."""
    for start in range(0, len(ids), CHUNK):
        yield sa.tuple_(*KEY).in_([(one.job, one.fire_time_ns, one.run) for one in ids[start : start + CHUNK]])


@contextmanager
def left_out_if_unreadable(number: int, unreadable: Unreadable | None) -> Iterator[None]:
    """Read an occurrence, by its row number, within this block: anybody may write a row, and the others are read all the same."""
    try:
        yield
    except (ValueError, TypeError, RecursionError) as error:
        if unreadable is None:
            raise ValueError(f"row {number} of occurrences makes no sense") from error
        unreadable(number)


def identities(rows: Iterable[Sequence[Any]]) -> set[OccurrenceId]:
    """Convert rows with the columns of `KEY` to ids."""
    return {OccurrenceId(job=job, fire_time_ns=fire_time_ns, run=run) for job, fire_time_ns, run in rows}


def new_row(item: Due | Decided, **more: Any) -> dict[str, Any]:
    """Return a row for an occurrence that is not in the ledger yet."""
    params = json.dumps(dict(item.params)) if isinstance(item, Due) else "{}"
    row = blank_row(item.id, planned_at_ns=item.planned_at_ns, origin=item.origin, config_version=item.config_version)
    return {**row, "params": params, **more}


def blank_row(identity: OccurrenceId, *, planned_at_ns: int, origin: Origin, config_version: str = "") -> dict[str, Any]:
    """Return the columns that every new occurrence has, except its state."""
    return {
        "job": identity.job,
        "fire_time_ns": identity.fire_time_ns,
        "run": identity.run,
        "planned_at_ns": planned_at_ns,
        "origin": origin.value,
        "config_version": config_version,
        "params": "{}",
        "attempts": 0,
        "count": 1,
    }


def insert_new(connection: Connection, rows: Sequence[dict[str, Any]]) -> set[OccurrenceId]:
    """Insert occurrences; return those that did not exist. The process whose insert succeeds owns the occurrence."""
    if not rows:
        return set()
    return identities(connection.execute(insert_or_skip(connection, occurrences).returning(*KEY), list(rows)))


def update_each(connection: Connection, condition: Any, changes: Sequence[dict[str, Any]]) -> None:
    """Change the occurrences that meet the condition, each to its own values of the same columns."""
    if changes:
        names = [name for name in changes[0] if not name.startswith("key_")]
        statement = occurrences.update().where(_IS, condition).values({name: sa.bindparam(name) for name in names})
        connection.execute(statement, list(changes))


def end_unstarted(connection: Connection, decisions: Iterable[Decided], now_ns: int, condition: Any = OPEN) -> None:
    """Write the decided outcomes of occurrences that have a row and no outcome."""
    update_each(connection, condition, [key(decided.id) | ending(decided, now_ns) for decided in decisions])


def ending(decided: Decided, now_ns: int) -> dict[str, Any]:
    """Return the columns of an occurrence that ends without having started."""
    return {
        "state": State.FINISHED.value,
        "outcome": decided.outcome.value,
        "reason": storable(decided.reason),
        "count": decided.count,
        "covers_until_ns": decided.covers_until_ns,
        "finished_at_ns": now_ns,
    }


def attempt_row(occurrence: int, attempt: Attempt) -> dict[str, Any]:
    """Return the row of an attempt of the occurrence with this row number."""
    return {
        "occurrence": occurrence,
        "attempt": attempt.attempt,
        "started_at_ns": attempt.started_at_ns,
        "finished_at_ns": attempt.finished_at_ns,
        "duration_ns": attempt.duration_ns,
        "armed": attempt.armed,
        "outcome": attempt.outcome.value,
        "reason": storable(attempt.reason),
        "http_status": attempt.http_status,
        "headers": storable("\n".join(attempt.headers)),
        "body": attempt.body,
        "body_size": attempt.body_size,
        "output": attempt.output,
    }
