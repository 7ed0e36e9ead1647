"""Conversions between rows and values, and the statements that several modules share."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tminus.ledger.statements import insert_rows_or_skip
from tminus.ledger.tables import occurrences
from tminus.model.batch import DueOccurrence, UnstartedResult
from tminus.model.occurrence import Attempt, OccurrenceId
from tminus.outcome import OccurrenceState, Origin

#: Rows per statement: SQLite allows 32,766 variables in one.
CHUNK = 1_000

KEY = (occurrences.c.job, occurrences.c.fire_time_ns, occurrences.c.run)
OPEN = occurrences.c.outcome.is_(None)
#: Background runs start by themselves, and belong to no batch.
IN_A_BATCH = occurrences.c.origin != Origin.BACKGROUND.value
#: The columns that keep the first value that is not null.
_KEEP_FIRST = ("started_at_ns", "armed")
_HAS_KEY = sa.and_(*(column == sa.bindparam(f"key_{column.name}") for column in KEY))


#: Gets the row number of each occurrence that is left out because it is not valid. Without it, such a row
#: raises ValueError.
Unreadable = Callable[[int], object]


def storable(text: str | None) -> str | None:
    """
    Return a text that every database can store. PostgreSQL stores no NUL, and no database stores half of a
    surrogate pair.
    """
    return text and text.replace("\0", r"\x00").encode(errors="backslashreplace").decode()


def key_params(identity: OccurrenceId) -> dict[str, Any]:
    """Return the values by which `update_each` finds a row."""
    return {"key_job": identity.job, "key_fire_time_ns": identity.fire_time_ns, "key_run": identity.run}


def id_filters(ids: Sequence[OccurrenceId]) -> Iterator[sa.ColumnElement[bool]]:
    """Yield conditions that together match exactly these occurrences, each short enough for one statement."""
    for start in range(0, len(ids), CHUNK):
        yield sa.tuple_(*KEY).in_(
            [(one.job, one.fire_time_ns, one.run) for one in ids[start : start + CHUNK]]
        )


@contextmanager
def left_out_if_unreadable(number: int, unreadable: Unreadable | None) -> Iterator[None]:
    """
    Read an occurrence, by its row number, within this block. If its row is not valid, leave it out: anybody
    may write a row.
    """
    try:
        yield
    except (ValueError, TypeError, RecursionError) as error:
        if unreadable is None:
            raise ValueError(f"row {number} of occurrences is not valid") from error
        unreadable(number)


def identities(rows: Iterable[Sequence[Any]]) -> set[OccurrenceId]:
    """Convert rows with the columns of `KEY` to ids."""
    return {OccurrenceId(job=job, fire_time_ns=fire_time_ns, run=run) for job, fire_time_ns, run in rows}


def new_row(item: DueOccurrence | UnstartedResult, **more: Any) -> dict[str, Any]:
    """Return a row for an occurrence that is not in the ledger yet."""
    params, cause = "{}", None
    if isinstance(item, DueOccurrence):
        params, cause = json.dumps(dict(item.params)), item.cause and str(item.cause.id)
    row = blank_row(
        item.id, planned_at_ns=item.planned_at_ns, origin=item.origin, config_version=item.config_version
    )
    return {**row, "params": params, "cause": cause, **more}


def blank_row(
    identity: OccurrenceId, *, planned_at_ns: int, origin: Origin, config_version: str = ""
) -> dict[str, Any]:
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
    """
    Insert occurrences; return those that did not exist. The process whose insert succeeds owns the
    occurrence.
    """
    if not rows:
        return set()
    return identities(insert_rows_or_skip(connection, occurrences, rows, returning=KEY))


def update_each(connection: Connection, condition: Any, changes: Sequence[dict[str, Any]]) -> None:
    """Change the occurrences that meet the condition, each to its own values of the same columns."""
    if changes:
        names = tuple(name for name in changes[0] if not name.startswith("key_"))
        connection.execute(_update_by_key(names).where(condition), list(changes))


@cache
def _update_by_key(names: tuple[str, ...]) -> sa.Update:
    """Return the statement that sets these columns. To build it takes longer than to execute it."""
    values = {
        name: sa.func.coalesce(occurrences.c[name], sa.bindparam(name))
        if name in _KEEP_FIRST
        else sa.bindparam(name)
        for name in names
    }
    return occurrences.update().where(_HAS_KEY).values(values)


def end_unstarted(
    connection: Connection, decisions: Iterable[UnstartedResult], now_ns: int, condition: Any = OPEN
) -> None:
    """Write the decided outcomes of occurrences that have a row and no outcome."""
    update_each(
        connection,
        condition,
        [key_params(decided.id) | result_columns(decided, now_ns) for decided in decisions],
    )


def result_columns(decided: UnstartedResult, now_ns: int) -> dict[str, Any]:
    """Return the columns of an occurrence that ends without having started."""
    return {
        "state": OccurrenceState.FINISHED.value,
        "outcome": decided.outcome.value,
        "reason": storable(decided.reason),
        "count": decided.count,
        "covers_until_ns": decided.covers_until_ns,
        "finished_at_ns": now_ns,
        "next_attempt_ns": None,
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
        "request": attempt.request and attempt.request.to_text(),
        "phases": attempt.phases.to_text() or None,
    }
