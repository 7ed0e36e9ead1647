"""Resolve: an operator says what became of an occurrence that is unknown or missed."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from tminus.errors import NotPossible, UsageError
from tminus.ledger.requests import RequestRow
from tminus.ledger.resolutions import set_resolution
from tminus.model.occurrence import OccurrenceId, Resolution
from tminus.operations.occurrence_request import occurrence_in
from tminus.outcome import Outcome, Resolved


def to_body(identity: OccurrenceId, resolved: Resolved) -> dict[str, Any]:
    """Return the body of a request row."""
    return {"occurrence": str(identity), "resolved": resolved.value}


def accept(connection: Connection, row: RequestRow) -> Mapping[str, Any]:
    """
    Resolve the occurrence that a request names, in the transaction in which it is taken; return the answer.
    A second resolution replaces the first.

    Raises:
        UsageError: the request is malformed.
        NotFound: there is no such occurrence.
        NotPossible: it is neither unknown nor missed.
    """
    found = occurrence_in(connection, row.body)
    try:
        resolved = Resolved(str(row.body.get("resolved")))
    except ValueError:
        raise UsageError("the request to resolve an occurrence is malformed") from None
    if found.outcome not in (Outcome.UNKNOWN, Outcome.MISSED):
        raise NotPossible(
            f"{found.id} is {found.outcome or found.state}", hint="only unknown and missed ones are resolved"
        )
    set_resolution(connection, found.id, Resolution(resolved=resolved, by=row.by, at_ns=row.created_ns))
    return {"occurrence": str(found.id), "resolved": resolved.value}
