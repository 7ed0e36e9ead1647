"""Submit background runs, read their status, wait for them, and cancel them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tminus.clock import SystemClock
from tminus.errors import UsageError
from tminus.executors.python import daemon_client
from tminus.executors.python.payload_objects import Failure
from tminus.flask import in_process
from tminus.flask.application import app_name, current_scheduler
from tminus.flask.copy_rules import CopyRules
from tminus.flask.job_options import parse_duration_ns
from tminus.flask.run_stores import DaemonRuns, LedgerRuns, RunStore
from tminus.instants import LATEST_NS, MS
from tminus.model import payload
from tminus.model.background import RunStatus, Submission
from tminus.outcome import Outcome

#: Between two looks at a run that is waited for.
_LOOK_NS = 50 * MS


@dataclass(frozen=True, slots=True)
class RunHandle:
    """
    A submitted background run. Thread-safe.

    Attributes:
        id: 128 random bits in hexadecimal, or the id that `submit` was given. Anyone who knows it may ask for
            the status.
        occurrence: The id of its occurrence, as `tminus history` shows it.
    """

    id: str
    occurrence: str

    def status(self) -> RunStatus:
        """
        Return the current status. Not available in code that a runner runs.

        Raises:
            UsageError: the run is not in the ledger any more, or the caller is a job.
            LedgerError: the ledger does not work.
        """
        found = get_status(self.id)
        if found is None:
            raise UsageError(f"the run {self.occurrence} is not in the ledger any more")
        return found

    def wait(self, timeout: str | float | None = None) -> Any:
        """
        Wait until the run has ended; return what its function returned. Not available in code that a runner
        runs.

        Args:
            timeout: The longest wait: `15s`, or seconds; None for no limit.

        Raises:
            Failure: the run did not succeed. If its function raised an exception, `kind` is `exception`, and
                `message` is the name of its class and its text.
            TimeoutError: the run has not ended in time.
            UsageError, LedgerError: as `status`.
        """
        limit_ns = LATEST_NS if timeout is None else parse_duration_ns("timeout", timeout)
        until_ns = SystemClock.monotonic_ns() + limit_ns
        while (status := self.status()).outcome is None:
            if SystemClock.monotonic_ns() >= until_ns:
                raise TimeoutError(f"{self.occurrence} has not ended within {timeout}")
            SystemClock.pause(_LOOK_NS)
        if status.outcome is Outcome.SUCCEEDED:
            return status.result
        reason = status.reason or ""
        kind, colon, message = reason.partition(": ")  # `exception: …`, or `definition, not sent: …`
        if not colon:
            kind, message = status.outcome.value, reason
        raise Failure(status.outcome.value, kind.partition(",")[0], message)

    def cancel(self) -> bool:
        """
        Cancel the run if it is queued; ask it to stop if it is running. Not available in code that a runner
        runs.

        Returns:
            False if the run had ended.

        Raises:
            UsageError: the run is not in the ledger any more, or the caller is a job.
            LedgerError: the ledger does not work.
        """
        return store(self.id).cancel(self.status())


def find_run(run_id: str) -> RunHandle:
    """
    Return the run with this id. Not available in code that a runner runs.

    Raises:
        UsageError: there is none in the ledger, or the caller is a job.
        LedgerError: the ledger does not work.
    """
    found = get_status(run_id)
    if found is None:
        raise UsageError(
            f"no run has the id {run_id!r}",
            hint="old runs are deleted, see history: {keep: …} in the jobs file",
        )
    return RunHandle(found.id, str(found.occurrence))


def get_status(run_id: str) -> RunStatus | None:
    """
    Return the status of a run; None if it is not in the ledger.

    Raises:
        UsageError: the caller is a job.
        LedgerError: the ledger does not work.
    """
    return store(run_id).get_status(run_id)


def prepare(
    submission_for: Callable[[str, dict[str, Any] | None], Submission], *, copies_request: bool = True
) -> Submission:
    """
    Return a submission for the current application.

    Args:
        submission_for: Returns the submission for an application's name and the copy of the request, if there
            is one.
        copies_request: Whether to copy the current request, if there is one.

    Raises:
        UsageError: the application cannot be determined.
        LedgerError: the ledger does not work.
        TypeError: the request cannot be copied.
        ValueError: the copy is longer than its limit.
    """
    scheduler = current_scheduler()
    rules = scheduler.copy_rules if scheduler else CopyRules()
    copy = _copy_of_request(rules) if copies_request else None
    name = app_name(scheduler) if in_process.store() is None else in_process.APP
    return submission_for(name, copy)


def submit(submissions: Sequence[Submission]) -> list[RunHandle]:
    """
    Submit background runs of one function: all or none. They are durable when this returns.

    Raises:
        TminusError: they could not be stored.
    """
    return [RunHandle(one.id, str(one.occurrence)) for one in store().submit(submissions)]


def store(run_id: str | None = None) -> RunStore:
    """Return where a run is; without an id, where new runs are stored."""
    if (here := in_process.store(run_id)) is not None:
        return here
    return LedgerRuns() if daemon_client.current is None else DaemonRuns(daemon_client.current)


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
