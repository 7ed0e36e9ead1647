"""Where background runs are: in the ledger, behind the daemon's pipe, or, in tests, in this process."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Protocol

from tminus.clock import SystemClock
from tminus.executors.python.daemon_client import DaemonClient
from tminus.flask.ledgers import ledger, without_cause
from tminus.model.background import RunStatus, Submission, SubmissionReceipt
from tminus.model.occurrence import OccurrenceId


class RunStore(Protocol):
    """A place for background runs. Thread-safe."""

    def submit(self, submissions: Sequence[Submission]) -> list[SubmissionReceipt]:
        """
        Store runs of one function: all or none.

        Raises:
            TminusError: they could not be stored.
        """

    def get_status(self, run_id: str) -> RunStatus | None:
        """
        Return the status of a run; None if it is not there.

        Raises:
            TminusError: the status cannot be read.
        """

    def cancel(self, status: RunStatus) -> bool:
        """
        Cancel a run if it is queued; ask it to stop if it is running. Return False if it has ended.

        Raises:
            TminusError: that could not be stored.
        """


class LedgerRuns:
    """The runs in `$TMINUS_LEDGER`, for web workers."""

    def submit(self, submissions: Sequence[Submission]) -> list[SubmissionReceipt]:
        from tminus.ledger.submissions import submit_all

        with without_cause():
            return submit_all(ledger(), submissions, now_ns=SystemClock.wall_ns())

    def get_status(self, run_id: str) -> RunStatus | None:
        from tminus.ledger import submissions

        with without_cause():
            return submissions.get_status(ledger(), run_id)

    def cancel(self, status: RunStatus) -> bool:
        from tminus.ledger import requests, submissions

        number, now_ns = status.number, SystemClock.wall_ns()
        with without_cause():
            if not submissions.cancel(ledger(), number, now_ns=now_ns):
                current = submissions.get_status(ledger(), status.id)
                if current is None or current.outcome is not None:
                    return False
            # Even if it was queued: the daemon then removes its input from SQLite's log.
            requests.add_request(ledger(), requests.RequestKind.CANCEL, {"number": number}, now_ns=now_ns)
        return True


class DaemonRuns(LedgerRuns):
    """
    The runs of the daemon, for its jobs. They can only be submitted: `ledger` raises the error for the rest.
    """

    def __init__(self, client: DaemonClient) -> None:
        self._client = client

    def submit(self, submissions: Sequence[Submission]) -> list[SubmissionReceipt]:
        given = [
            {field.name: getattr(submission, field.name) for field in fields(submission)}
            for submission in submissions
        ]
        receipts = self._client.send_request("submit", {"submissions": given})
        return [SubmissionReceipt(run_id, OccurrenceId.parse(occurrence)) for run_id, occurrence in receipts]
