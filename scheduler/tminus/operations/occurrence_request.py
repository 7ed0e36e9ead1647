"""Requests that name an occurrence: its id in the body of such a row, which may be forged."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from tminus.errors import NotFound, UsageError
from tminus.ledger.history import find_one
from tminus.model.occurrence import Occurrence, OccurrenceId


def parse_id(text: object) -> OccurrenceId:
    """
    Return the id of an occurrence.

    Raises:
        UsageError: the text is not the id of an occurrence.
    """
    try:
        return OccurrenceId.parse(str(text))
    except ValueError as error:
        hint = "tminus logs JOB shows the id of the last one of a job"
        raise UsageError(str(error), hint=hint) from None


def occurrence_in(connection: Connection, body: Mapping[str, Any]) -> Occurrence:
    """
    Return the occurrence that the body of a request row names.

    Raises:
        UsageError: the body names none.
        NotFound: there is no such occurrence.
    """
    identity = parse_id(body.get("occurrence"))
    found = find_one(connection, identity)
    if found is None:
        raise NotFound(f"no occurrence {identity}", hint=f"tminus history {identity.job}")
    return found
