"""Requests to the daemon: another process writes a row, and the daemon takes it. A request to a stopped daemon is not lost."""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from scheduler.errors import NotFound
from scheduler.ledger import changes
from scheduler.ledger.engine import Ledger
from scheduler.ledger.tables import requests

#: A body with more characters is not read.
_LARGEST = 1 << 20
_LONGEST_KIND = 100
#: Rows read at once.
_MOST = 100
_COLUMNS = (
    *(column for column in requests.c if column is not requests.c.body),
    sa.case((sa.func.length(requests.c.body) <= _LARGEST, requests.c.body)).label("body"),
)


class Kind(StrEnum):
    """The kinds of requests."""

    RUN_NOW = "run_now"
    CANCEL = "cancel"  #: of a background run that is running


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    A request, as stored in the ledger.

    Attributes:
        kind: A `Kind`, unless there is a fault.
        taken_by: The id of the instance that took it.
        fault: Why this program does not understand the request.
    """

    id: str
    kind: str
    body: Mapping[str, Any]
    created_ns: int
    taken_by: str | None = None
    answer: Mapping[str, Any] | None = None
    fault: str | None = None


def ask(ledger: Ledger, kind: Kind, body: Mapping[str, Any], *, now_ns: int) -> Request:
    """
    Write a request. It is durable when this returns.

    Raises:
        LedgerError: the request is not durable.
    """
    request = Request(id=uuid.uuid4().hex, kind=kind, body=body, created_ns=now_ns)
    with ledger.write(is_durable=lambda connection: _column(connection, request, "id") is not None) as connection:
        row = {"id": request.id, "kind": kind.value, "body": json.dumps(body), "created_ns": now_ns}
        connection.execute(requests.insert().values(row))
        changes.tell(connection)
    return request


def pending(ledger: Ledger) -> Sequence[Request]:
    """Return some requests that are neither taken nor withdrawn, the oldest first."""
    query = sa.select(*_COLUMNS).where(_is_open()).order_by(requests.c.created_ns).limit(_MOST)
    with ledger.read() as connection:
        return [_request(row) for row in connection.execute(query).mappings()]


def take(
    ledger: Ledger, request: Request, *, instance: str, answer: Callable[[Connection], Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """
    Take a request and do what it asks for, in one transaction.

    Args:
        ledger: The open ledger.
        request: From `pending`.
        instance: The id of this process.
        answer: Does what is asked for on the given connection, and returns the answer.

    Returns:
        The answer; None if the request was taken or withdrawn meanwhile.
    """
    mine = requests.update().where(requests.c.id == request.id, _is_open())
    with ledger.write(is_durable=lambda connection: _column(connection, request, "taken_by") == instance) as connection:
        if connection.execute(mine.values(taken_by=instance)).rowcount == 0:
            return None
        said = answer(connection)
        connection.execute(requests.update().where(requests.c.id == request.id).values(answer=json.dumps(said)))
        return said


def to_cancel(ledger: Ledger) -> set[int]:
    """Return the row numbers of all runs that were to be cancelled while they ran, whether they were told or not."""
    with ledger.read() as connection:
        rows = connection.execute(sa.select(*_COLUMNS).where(requests.c.kind == Kind.CANCEL.value)).mappings()
        numbers = (_request(row).body.get("number") for row in rows)
        return {number for number in numbers if isinstance(number, int)}


def withdraw(ledger: Ledger, request: Request, *, now_ns: int) -> bool:
    """Withdraw a request; return False if it was taken before."""
    mine = requests.update().where(requests.c.id == request.id, _is_open())
    with ledger.write(is_durable=lambda connection: _column(connection, request, "withdrawn_ns") == now_ns) as connection:
        return connection.execute(mine.values(withdrawn_ns=now_ns)).rowcount == 1


def look_at(ledger: Ledger, request: Request) -> Request:
    """
    Return a request as it is in the ledger now.

    Raises:
        NotFound: its row was deleted.
    """
    with ledger.read() as connection:
        row = connection.execute(sa.select(*_COLUMNS).where(requests.c.id == request.id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"the request {request.id} was deleted from the ledger")
    return _request(row)


def _column(connection: Connection, request: Request, name: str) -> Any:
    """Return a value of the row of a request; None if there is no row."""
    return connection.execute(sa.select(requests.c[name]).where(requests.c.id == request.id)).scalar()


def _is_open() -> sa.ColumnElement[bool]:
    return sa.and_(requests.c.taken_by.is_(None), requests.c.withdrawn_ns.is_(None))


def _request(row: RowMapping) -> Request:
    kind, (body, fault) = str(row["kind"])[:_LONGEST_KIND], _object(row["body"])
    if kind not in {known.value for known in Kind}:
        fault = f"this tminus does not know the request {kind!r}: it may be of a newer version"
    return Request(
        id=row["id"],
        kind=kind,
        body=body,
        created_ns=row["created_ns"],
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
