"""Pause: jobs start nothing by their schedules until they are resumed."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from tminus.errors import UsageError
from tminus.instants import LATEST_NS
from tminus.ledger import pauses
from tminus.ledger.requests import RequestKind, RequestRow
from tminus.model.definitions import Definitions
from tminus.operations.job_request import jobs_in
from tminus.policies.pause import LONGEST_REASON, Pause, PauseKind, check_reason


def to_body(jobs: tuple[str, ...], *, until_ns: int | None, reason: str) -> dict[str, Any]:
    """
    Return the body of a request row.

    Args:
        jobs: The names of the jobs.
        until_ns: The first planned start that is not paused any more; None for no end.
        reason: Shown wherever the pause is shown; may be empty.

    Raises:
        UsageError: the reason is too long.
    """
    check_reason(reason)
    return {"jobs": list(jobs), "until_ns": until_ns, "reason": reason}


def accept(connection: Connection, row: RequestRow, definitions: Definitions) -> Mapping[str, Any]:
    """
    Pause the jobs that a request names, in the transaction in which it is taken; return the answer.

    Raises:
        JobNotFound: there is no such job.
        UsageError: the request is malformed.
    """
    names = jobs_in(row.body, definitions)
    until_ns, reason = row.body.get("until_ns"), row.body.get("reason")
    if (
        not isinstance(reason, str)
        or len(reason) > LONGEST_REASON
        or not (until_ns is None or (type(until_ns) is int and 0 <= until_ns <= LATEST_NS))
    ):
        raise UsageError("the request to pause jobs is malformed")
    kind = PauseKind.FAILURES if row.kind == RequestKind.PAUSE_ON_FAILURE else PauseKind.PAUSE
    pause = Pause(kind=kind, since_ns=row.created_ns, until_ns=until_ns, reason=reason, by=row.by)
    pauses.begin(connection, names, pause)
    return {"jobs": names, "since_ns": pause.since_ns, "until_ns": until_ns, "by": row.by, "reason": reason}
