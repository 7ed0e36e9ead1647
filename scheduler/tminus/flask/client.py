"""
Submit background runs, read their status, and cancel them. Jobs submit through the daemon, other code through
the ledger.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from tminus.clock import SystemClock
from tminus.errors import TminusError, UsageError
from tminus.executors.python import daemon_client
from tminus.flask.application import app_name, current_scheduler
from tminus.flask.copy_rules import CopyRules
from tminus.flask.ledgers import ledger
from tminus.model import payload
from tminus.model.background import RunStatus, Submission


@contextmanager
def _without_cause() -> Iterator[None]:
    """Raise errors without their cause: SQLAlchemy's errors would fill a web server's log with statements."""
    try:
        yield
    except TminusError as error:
        raise error from None


@dataclass(frozen=True, slots=True)
class RunHandle:
    """
    A submitted background run. Thread-safe.

    Attributes:
        id: 128 random bits, in hexadecimal. Anyone who knows them may ask for the status.
        occurrence: The id of its occurrence, as `tminus history` shows it.
    """

    id: str
    occurrence: str

    def status(self) -> RunStatus:
        """
        Return the current status. Not available inside a job.

        Raises:
            UsageError: the run is not in the ledger any more, or this is a job.
            LedgerError: the ledger does not work.
        """
        found = get_status(self.id)
        if found is None:
            raise UsageError(f"the run {self.occurrence} is not in the ledger any more")
        return found

    @_without_cause()
    def cancel(self) -> bool:
        """
        Cancel the run if it is queued; ask it to stop if it is running. Not available inside a job.

        Returns:
            False if the run had ended.

        Raises:
            UsageError: the run is not in the ledger any more, or this is a job.
            LedgerError: the ledger does not work.
        """
        from tminus.ledger import requests, submissions

        number, now_ns = self.status().number, SystemClock.wall_ns()
        was_queued = submissions.cancel(ledger(), number, now_ns=now_ns)
        if not was_queued and self.status().outcome is not None:
            return False
        # Even if it was queued: the daemon then removes its input from SQLite's log.
        requests.add_request(ledger(), requests.RequestKind.CANCEL, {"number": number}, now_ns=now_ns)
        return True


@_without_cause()
def get_status(run_id: str) -> RunStatus | None:
    """Return the status of a run; None if it is not in the ledger."""
    from tminus.ledger import submissions

    return submissions.get_status(ledger(), run_id)


@_without_cause()
def submit(
    submission_for: Callable[[str, dict[str, Any] | None], Submission], *, copies_request: bool = True
) -> RunHandle:
    """
    Submit a background run.

    Args:
        submission_for: Returns the submission for an application's name and the copy of the request, if there
            is one.
        copies_request: Whether to copy the current request, if there is one.

    Raises:
        TminusError: it could not be stored, or the application cannot be determined.
        TypeError: the request cannot be copied.
        ValueError: the copy is longer than its limit.
    """
    scheduler = current_scheduler()
    rules = scheduler.copy_rules if scheduler else CopyRules()
    copy = _copy_of_request(rules) if copies_request else None
    submission = submission_for(app_name(scheduler), copy)
    if daemon_client.current is not None:
        given = {field.name: getattr(submission, field.name) for field in fields(submission)}
        return RunHandle(*daemon_client.current.send_request("submit", given))
    from tminus.ledger import submissions

    accepted = submissions.submit(ledger(), submission, now_ns=SystemClock.wall_ns())
    return RunHandle(accepted.id, str(accepted.occurrence))


def _copy_of_request(rules: CopyRules) -> dict[str, Any] | None:
    from flask import has_request_context, request, session

    from tminus.flask.request_copy import copy_request

    if not has_request_context():
        return None
    try:
        copy = copy_request(request, session, rules)
        payload.dumps(copy, most_bytes=rules.max_bytes)
    except RecursionError:
        raise TypeError("the request cannot be copied: its JSON is nested too deeply") from None
    except ValueError as error:
        raise ValueError(
            f"the copy of the request is {error}: write @background(request=False), or Scheduler(max_copy=…)"
        ) from None
    return copy
