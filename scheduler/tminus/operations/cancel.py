"""Cancel: an occurrence that waits ends, and one that is running is stopped."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from tminus.errors import NotPossible
from tminus.ledger import cancellations, requests
from tminus.ledger.requests import RequestKind, RequestRow
from tminus.model.notification import OutcomeWatch
from tminus.model.occurrence import OccurrenceId
from tminus.operations.occurrence_request import occurrence_in
from tminus.outcome import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedCancel:
    """The result of a request: an occurrence that is cancelled, or that is running and is to stop."""

    id: OccurrenceId
    reason: str
    answer: Mapping[str, Any]


def to_body(identity: OccurrenceId) -> dict[str, Any]:
    """Return the body of a request row."""
    return {"occurrence": str(identity)}


def accept(connection: Connection, row: RequestRow, *, watch: OutcomeWatch, now_ns: int) -> AcceptedCancel:
    """
    Cancel the occurrence that a request names, in the transaction in which it is taken.

    Args:
        connection: The connection of that transaction.
        row: The request row.
        watch: Which outcomes are watched.
        now_ns: Wall clock.

    Raises:
        UsageError: the request is malformed.
        NotFound: there is no such occurrence.
        NotPossible: it is over.
    """
    found = occurrence_in(connection, row.body)
    answer = {"occurrence": str(found.id)}
    if found.outcome is not None:
        raise NotPossible(f"{found.id} is over: {found.outcome}")
    reason = f"cancelled by {row.by}"
    is_cancelled = cancellations.cancel_waiting(
        connection, found.id, reason=reason, now_ns=now_ns, watch=watch
    )
    if found.origin is Origin.BACKGROUND:
        # Even if it was queued: the daemon then removes its input from SQLite's log.
        number = cancellations.row_number(connection, found.id)
        stop = RequestRow(
            id=uuid.uuid4().hex,
            kind=RequestKind.CANCEL,
            body={"number": number},
            created_ns=now_ns,
            by=row.by,
        )
        requests.insert(connection, stop)
    return AcceptedCancel(id=found.id, reason=reason, answer={**answer, "cancelled": is_cancelled})
