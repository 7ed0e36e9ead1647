"""
Requests to the daemon: another process writes a row, and the daemon takes it. A request to a stopped daemon
is not lost.
"""

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from tminus.errors import NotFound
from tminus.ledger import changes
from tminus.ledger.engine import Ledger
from tminus.ledger.tables import requests

#: A body with more characters is not read.
_LARGEST = 1 << 20
_LONGEST_KIND = 100
_LONGEST_USER = 200
#: Rows read at once.
_MOST = 100
_COLUMNS = (
    *(column for column in requests.c if column is not requests.c.body),
    sa.case((sa.func.length(requests.c.body) <= _LARGEST, requests.c.body)).label("body"),
)


class RequestKind(StrEnum):
    """The kinds of requests."""

    RUN_NOW = "run_now"
    CANCEL = "cancel"  #: of a background run, queued or running, by its row number
    PAUSE = "pause"
    PAUSE_ON_FAILURE = "pause_on_failure"  #: by tminus itself
    RESUME = "resume"
    RELOAD = "reload"
    BACKFILL = "backfill"
    SKIP = "skip"
    CANCEL_OCCURRENCE = "cancel_occurrence"
    RETRY = "retry"
    RESOLVE = "resolve"


#: The kinds that do not wait for the planner: they are in force before a daemon starts anything.
FIRST = (
    RequestKind.PAUSE,
    RequestKind.PAUSE_ON_FAILURE,
    RequestKind.RESUME,
    RequestKind.SKIP,
    RequestKind.CANCEL_OCCURRENCE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """
    A request, as stored in the ledger.

    Attributes:
        kind: A `RequestKind`, unless there is a fault.
        by: Who asks, `user@host`, or `tminus`; empty if unknown.
        taken_by: The id of the instance that took it.
        answer: What that instance has answered; an error has the key `error`.
        fault: Why this program does not understand the request.
    """

    id: str
    kind: str
    body: Mapping[str, Any]
    created_ns: int
    by: str = ""
    taken_by: str | None = None
    answer: Mapping[str, Any] | None = None
    fault: str | None = None


def add_request(
    ledger: Ledger, kind: RequestKind, body: Mapping[str, Any], *, now_ns: int, by: str = ""
) -> RequestRow:
    """
    Write a request. It is durable when this returns.

    Raises:
        LedgerError: the request is not durable. If the ledger could not be read back, that is not known.
    """
    request = RequestRow(id=uuid.uuid4().hex, kind=kind, body=body, created_ns=now_ns, by=by)
    with ledger.write(
        is_durable=lambda connection: _column(connection, request, "id") is not None
    ) as connection:
        insert(connection, request)
    return request


def insert(connection: Connection, request: RequestRow) -> None:
    """Write a request in the caller's transaction."""
    row = {"id": request.id, "kind": request.kind, "body": json.dumps(request.body)}
    connection.execute(requests.insert().values(row | {"created_ns": request.created_ns, "by": request.by}))
    changes.publish(connection)


def pending(ledger: Ledger, kinds: Iterable[RequestKind] | None = None) -> Sequence[RequestRow]:
    """
    Return at most a hundred requests that are neither taken nor withdrawn, the oldest first.

    Args:
        ledger: The open ledger.
        kinds: The kinds of the requests; None for all.
    """
    query = sa.select(*_COLUMNS).where(_is_open()).order_by(requests.c.created_ns).limit(_MOST)
    if kinds is not None:
        query = query.where(requests.c.kind.in_([kind.value for kind in kinds]))
    with ledger.read() as connection:
        return [_request(row) for row in connection.execute(query).mappings()]


def take(
    ledger: Ledger, request: RequestRow, *, instance: str, execute: Callable[[Connection], Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """
    Take a request and execute it, in one transaction.

    Args:
        ledger: The open ledger.
        request: From `pending`.
        instance: The id of this process.
        execute: Executes the request on the given connection, and returns the answer.

    Returns:
        The answer; None if the request was taken or withdrawn meanwhile.
    """
    this_row = requests.update().where(requests.c.id == request.id, _is_open())
    with ledger.write(
        is_durable=lambda connection: _column(connection, request, "taken_by") == instance, step="request"
    ) as connection:
        if connection.execute(this_row.values(taken_by=instance)).rowcount == 0:
            return None
        answer = execute(connection)
        connection.execute(
            requests.update().where(requests.c.id == request.id).values(answer=json.dumps(answer))
        )
        return answer


def runs_to_cancel(ledger: Ledger) -> set[int]:
    """
    Return the row numbers of all runs for which there is a request to cancel, whether it was taken or not.
    """
    with ledger.read() as connection:
        rows = connection.execute(
            sa.select(*_COLUMNS).where(requests.c.kind == RequestKind.CANCEL.value)
        ).mappings()
        numbers = (_request(row).body.get("number") for row in rows)
        return {number for number in numbers if isinstance(number, int)}


def change_answer(ledger: Ledger, request: RequestRow, answer: Mapping[str, Any]) -> None:
    """Replace the answer to a request that was taken, once its work is done."""
    with ledger.write() as connection:
        this_row = requests.update().where(requests.c.id == request.id)
        connection.execute(this_row.values(answer=json.dumps(answer)))


def withdraw(ledger: Ledger, request: RequestRow, *, now_ns: int) -> bool:
    """Withdraw a request; return False if it was taken, withdrawn or deleted before."""
    this_row = requests.update().where(requests.c.id == request.id, _is_open())
    with ledger.write(
        is_durable=lambda connection: _column(connection, request, "withdrawn_ns") == now_ns
    ) as connection:
        return connection.execute(this_row.values(withdrawn_ns=now_ns)).rowcount == 1


def get_request(ledger: Ledger, request_id: str) -> RequestRow:
    """
    Return a request as it is in the ledger now.

    Raises:
        NotFound: its row was deleted.
    """
    with ledger.read() as connection:
        row = (
            connection.execute(sa.select(*_COLUMNS).where(requests.c.id == request_id))
            .mappings()
            .one_or_none()
        )
    if row is None:
        raise NotFound(f"the request {request_id} was deleted from the ledger")
    return _request(row)


def _column(connection: Connection, request: RequestRow, name: str) -> Any:
    """Return a value of the row of a request; None if there is no row."""
    return connection.execute(sa.select(requests.c[name]).where(requests.c.id == request.id)).scalar()


def _is_open() -> sa.ColumnElement[bool]:
    return sa.and_(requests.c.taken_by.is_(None), requests.c.withdrawn_ns.is_(None))


def _request(row: RowMapping) -> RequestRow:
    kind, (body, fault) = str(row["kind"])[:_LONGEST_KIND], _object(row["body"])
    if kind not in {known.value for known in RequestKind}:
        fault = f"this tminus does not know the request {kind!r}: it may be of a newer version"
    return RequestRow(
        id=row["id"],
        kind=kind,
        body=body,
        created_ns=row["created_ns"],
        by=(row["by"] or "")[:_LONGEST_USER],
        taken_by=row["taken_by"],
        answer=_object(row["answer"])[0] if row["answer"] else None,
        fault=fault,
    )


def _object(text: Any) -> tuple[dict[str, Any], str | None]:
    """Return a JSON object; or an empty one, and why the text is not a JSON object."""
    if text is None:
        return {}, f"the request has more than {_LARGEST} characters"
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        found = None
    return (found, None) if isinstance(found, dict) else ({}, "the request is not a JSON object")
