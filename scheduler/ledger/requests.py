"""What others ask of the daemon: they write a row, the daemon takes it. What is asked for while it is down is not lost."""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from scheduler.ledger import changes
from scheduler.ledger.engine import Ledger
from scheduler.ledger.tables import requests


class Kind(StrEnum):
    """What is asked for."""

    RUN_NOW = "run_now"
    CANCEL = "cancel"  #: a background run that runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One row."""

    id: str
    kind: Kind
    body: Mapping[str, Any]
    created_ns: int
    taken_by: str | None = None
    answer: Mapping[str, Any] | None = None


def ask(ledger: Ledger, kind: Kind, body: Mapping[str, Any], *, now_ns: int) -> Request:
    """Write a request; it is durable when this returns."""
    request = Request(id=uuid.uuid4().hex, kind=kind, body=body, created_ns=now_ns)
    with ledger.write() as connection:
        row = {"id": request.id, "kind": kind.value, "body": json.dumps(body), "created_ns": now_ns}
        connection.execute(requests.insert().values(row))
        changes.tell(connection)
    return request


def pending(ledger: Ledger) -> Sequence[Request]:
    """What nobody has taken or withdrawn, oldest first."""
    query = sa.select(requests).where(_is_open()).order_by(requests.c.created_ns)
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
        instance: Who takes it.
        answer: Does it on that connection, and says what came of it.

    Returns:
        The answer; None where another has taken or withdrawn it meanwhile.
    """
    mine = requests.update().where(requests.c.id == request.id, _is_open())
    with ledger.write() as connection:
        if connection.execute(mine.values(taken_by=instance)).rowcount == 0:
            return None
        said = answer(connection)
        connection.execute(requests.update().where(requests.c.id == request.id).values(answer=json.dumps(said)))
        return said


def withdraw(ledger: Ledger, request: Request, *, now_ns: int) -> bool:
    """Take a request back; False where somebody has taken it before."""
    mine = requests.update().where(requests.c.id == request.id, _is_open())
    with ledger.write() as connection:
        return connection.execute(mine.values(withdrawn_ns=now_ns)).rowcount == 1


def look_at(ledger: Ledger, request: Request) -> Request:
    """A request as it stands now."""
    with ledger.read() as connection:
        return _request(connection.execute(sa.select(requests).where(requests.c.id == request.id)).mappings().one())


def _is_open() -> sa.ColumnElement[bool]:
    return sa.and_(requests.c.taken_by.is_(None), requests.c.withdrawn_ns.is_(None))


def _request(row: RowMapping) -> Request:
    return Request(
        id=row["id"],
        kind=Kind(row["kind"]),
        body=json.loads(row["body"]),
        created_ns=row["created_ns"],
        taken_by=row["taken_by"],
        answer=json.loads(row["answer"]) if row["answer"] else None,
    )
