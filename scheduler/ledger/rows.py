"""Between rows and values: the statements that claims and outcomes share."""

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

#: Rows a statement: SQLite allows 32,766 variables in one.
CHUNK = 1_000

KEY = (occurrences.c.job, occurrences.c.fire_time_ns, occurrences.c.run)
OPEN = occurrences.c.outcome.is_(None)
_IS = sa.and_(*(column == sa.bindparam(f"key_{column.name}") for column in KEY))


#: Gets the row number of each occurrence that is left out because it makes no sense. Without it, such a row raises ValueError.
Unreadable = Callable[[int], object]


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
    """Rows of KEY's three columns as ids."""
    return {OccurrenceId(job=job, fire_time_ns=fire_time_ns, run=run) for job, fire_time_ns, run in rows}


def new_row(item: Due | Decided, **more: Any) -> dict[str, Any]:
    """A row for an occurrence that the ledger does not have yet."""
    params = json.dumps(dict(item.params)) if isinstance(item, Due) else "{}"
    row = blank_row(item.id, planned_at_ns=item.planned_at_ns, origin=item.origin, config_version=item.config_version)
    return {**row, "params": params, **more}


def blank_row(identity: OccurrenceId, *, planned_at_ns: int, origin: Origin, config_version: str = "") -> dict[str, Any]:
    """The columns that every new occurrence has, but for its state."""
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
        "covers_until_ns": decided.covers_until_ns,
        "finished_at_ns": now_ns,
    }


def attempt_row(occurrence: int, attempt: Attempt) -> dict[str, Any]:
    """The columns of an attempt, by the row number of its occurrence."""
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
