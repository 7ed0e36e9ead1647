"""Resume: end the pauses of jobs."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from tminus.ledger import pauses
from tminus.ledger.requests import RequestRow
from tminus.model.definitions import Definitions
from tminus.operations.job_request import jobs_in


def to_body(jobs: tuple[str, ...]) -> dict[str, Any]:
    """Return the body of a request row."""
    return {"jobs": list(jobs)}


def accept(connection: Connection, row: RequestRow, definitions: Definitions) -> Mapping[str, Any]:
    """
    Resume the jobs that a request names, in the transaction in which it is taken; return the answer.

    Raises:
        JobNotFound: there is no such job.
        UsageError: the request is malformed.
    """
    names = jobs_in(row.body, definitions)
    ended = pauses.end(connection, names, by=row.by, now_ns=row.created_ns)
    return {"jobs": names, "resumed": [name for name in names if name in ended]}
