"""
Background runs in the tests of an application, without ledger and daemon: called at once, or only collected.

With `TMINUS_EAGER=1`, or `app.config["TMINUS_EAGER"] = True`, `submit` calls the function in the thread that
submits, and then the chain. Within `collect`, `submit` stores nothing and calls nothing.
"""

import json
import logging
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tminus.clock import SystemClock
from tminus.errors import UsageError
from tminus.executors.python import current_occurrence, daemon_client, loading, texts
from tminus.executors.python.current_occurrence import CurrentOccurrence
from tminus.executors.python.payload_objects import Failure, to_payload
from tminus.executors.python.prepared_call import PreparedCall
from tminus.executors.python.wire import RequestContext, Work, context_of_copy
from tminus.executors.python.work_result import UnusableResult
from tminus.instants import LATEST_NS
from tminus.model.background import RunStatus, Submission, SubmissionReceipt
from tminus.model.job import MAX_BODY
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import Cause, OccurrenceState, Outcome

if TYPE_CHECKING:
    from flask import Flask

    from tminus.flask.run_stores import RunStore

#: Stands for the name of the application in these runs. Without a ledger, its real name is not needed.
APP = "in process"
_VARIABLE = "TMINUS_EAGER"
_NO_REQUEST = RequestContext()
_STOPPED = "it was asked to stop while it ran"
_log = logging.getLogger("tminus")


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedRun:
    """
    A background run that was submitted while runs were collected.

    Attributes:
        id: Its id, as in `RunHandle`.
        name: Its function, `module.function`.
        args, kwargs: Its arguments, as JSON has them.
        request: The copy of the request; None if there is none.
        planned_at_ns: Its earliest start, nanoseconds since the Unix epoch; None for at once.
    """

    id: str
    name: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    request: Mapping[str, Any] | None
    planned_at_ns: int | None


def store(run_id: str | None = None) -> "RunStore | None":
    """
    Return the store of this process that has this run, or, without an id, that takes new runs. None if the
    ledger or the daemon is used instead.
    """
    if _collecting:
        return _collecting[-1]
    if run_id is not None:
        return _eager if run_id in _eager.runs else None
    return _eager if _is_eager() else None


@contextmanager
def collect() -> Iterator[list[CollectedRun]]:
    """Collect submitted runs in the yielded list, instead of storing them. Not thread-safe."""
    _collecting.append(runs := _CollectedRuns())
    try:
        yield runs.collected
    finally:
        _collecting.remove(runs)


@contextmanager
def forget_runs() -> Iterator[None]:
    """
    At the end of the block, forget the runs that it has called at once. Their ids are free again then. Not
    thread-safe.
    """
    before = set(_eager.runs)
    try:
        yield
    finally:
        for run_id in _eager.runs.keys() - before:
            del _eager.runs[run_id]


def _is_eager() -> bool:
    if daemon_client.current is not None:  # a daemon's job is no test
        return False
    from flask import current_app, has_app_context

    if has_app_context() and _VARIABLE in current_app.config:
        return bool(current_app.config[_VARIABLE])
    return os.environ.get(_VARIABLE, "") not in ("", "0")


class _RunsHere:
    """The runs of this process, by their ids."""

    def __init__(self) -> None:
        self.runs: dict[str, RunStatus] = {}

    def submit(self, submissions: Sequence[Submission]) -> list[SubmissionReceipt]:
        receipts = []
        for submission in submissions:
            run_id, job = submission.id or secrets.token_hex(16), submission.ref.replace(":", ".")
            if run_id in self.runs and self.runs[run_id].occurrence.job != job:
                raise UsageError(f"the run {run_id} calls {self.runs[run_id].occurrence.job}")
            if run_id not in self.runs:
                occurrence = OccurrenceId(job=job, fire_time_ns=SystemClock.wall_ns())
                self.runs[run_id] = RunStatus(
                    id=run_id,
                    number=0,
                    occurrence=occurrence,
                    app=APP,
                    state=OccurrenceState.QUEUED,
                    outcome=None,
                    reason=None,
                    attempts=0,
                    progress=None,
                    progress_text=None,
                    result=None,
                )
                self.take(run_id, submission)
            receipts.append(SubmissionReceipt(run_id, self.runs[run_id].occurrence))
        return receipts

    def take(self, run_id: str, submission: Submission) -> None:
        """Collect a new run, or call its function."""

    def get_status(self, run_id: str) -> RunStatus | None:
        return self.runs.get(run_id)

    def cancel(self, status: RunStatus) -> bool:
        if status.outcome is not None:
            return False
        self.change(
            status.id,
            state=OccurrenceState.FINISHED,
            outcome=Outcome.CANCELLED,
            reason="cancelled before it began",
        )
        return True

    def change(self, run_id: str, **changes: Any) -> None:
        """Change the status of a run."""
        self.runs[run_id] = replace(self.runs[run_id], **changes)


class _CollectedRuns(_RunsHere):
    def __init__(self) -> None:
        super().__init__()
        self.collected: list[CollectedRun] = []

    def take(self, run_id: str, submission: Submission) -> None:
        self.collected.append(
            CollectedRun(
                id=run_id,
                name=self.runs[run_id].occurrence.job,
                args=submission.given["args"],
                kwargs=submission.given["kwargs"],
                request=submission.given.get("request"),
                planned_at_ns=submission.planned_at_ns,
            )
        )


class _EagerRuns(_RunsHere):
    def __init__(self) -> None:
        super().__init__()
        self._running: dict[str, CurrentOccurrence] = {}

    def cancel(self, status: RunStatus) -> bool:
        if running := self._running.get(status.id):
            running.request_stop()
            return True
        return super().cancel(status)

    def take(self, run_id: str, submission: Submission) -> None:
        from flask import current_app, has_app_context

        app: Flask | None = current_app._get_current_object() if has_app_context() else None  # type: ignore[attr-defined]
        Context().run(self._run, run_id, submission, app)  # with no context of the view, as in a runner

    def _run(self, run_id: str, submission: Submission, app: "Flask | None") -> None:
        current = CurrentOccurrence(
            str(self.runs[run_id].occurrence),
            lambda fraction, text: self.change(run_id, progress=fraction, progress_text=text),
            run_id=run_id,
        )
        call = _Call(app=app, job=self.runs[run_id].occurrence.job, occurrence=current)
        self.change(run_id, state=OccurrenceState.RUNNING, attempts=1)
        self._running[run_id] = current
        try:
            result = json.loads(
                call.make(
                    submission.ref,
                    arguments=json.dumps([submission.given["args"], submission.given["kwargs"]]),
                    request=context_of_copy(submission.given.get("request")),
                )
            )
            value = {"result": result}
            ends = {"outcome": Outcome.SUCCEEDED, "result": result}
        except (Exception, SystemExit) as error:  # noqa: BLE001  it ends the run, not the view
            failure = _failure_of(error)
            value = to_payload(failure)
            ends = {"outcome": Outcome.FAILED, "reason": f"{failure.kind}: {failure.message}"}
            _log.error("%s has failed: %s", current.id, failure.message, exc_info=error)
        finally:
            del self._running[run_id]
        if current.should_stop:  # whatever its result
            failure = Failure(Outcome.CANCELLED.value, Outcome.CANCELLED.value, _STOPPED)
            value = to_payload(failure)
            ends = {"outcome": Outcome.CANCELLED, "reason": f"{failure.kind}: {failure.message}"}
        self.change(run_id, state=OccurrenceState.FINISHED, **ends)
        call.follow(submission.options.get("then", []), value)


@dataclass(frozen=True, slots=True)
class _Call:
    """Calls of functions as their runner would make them, on this thread."""

    app: "Flask | None"
    job: str
    occurrence: CurrentOccurrence

    def make(
        self,
        ref: str,
        *,
        arguments: str = "[[], {}]",
        given: str | None = None,
        request: RequestContext = _NO_REQUEST,
    ) -> bytes:
        """Call a function in its contexts; return its result as JSON."""
        work = Work(
            index=0,
            job=self.job,
            occurrence=self.occurrence.id,
            run_id=self.occurrence.run_id,
            ref=ref,
            arguments=arguments,
            given=given,
            request=request,
            latest_ns=LATEST_NS,
            total_ns=LATEST_NS,
            max_body=MAX_BODY,
            keep_body=MAX_BODY,
            keep_output=0,
        )
        error: BaseException | None = None
        prepared = PreparedCall(work, ref, loading.load(ref), self.app)
        try:
            current_occurrence.enter(self.occurrence)
            return prepared.encode_result(prepared.enter()).body
        except BaseException as raised:
            error = raised
            raise
        finally:
            prepared.tear_down(error)

    def follow(self, links: Sequence[Mapping[str, Any]], value: Mapping[str, Any]) -> None:
        """Call the functions of a chain, from the first link on, with the value of the run."""
        for link in links:
            handler = link.get("both", link.get("errback" if "failure" in value else "callback"))
            ref, kwargs = (handler, {}) if isinstance(handler, str) else _call_of(handler)
            if ref is None:
                continue
            try:
                value = json.loads(
                    self.make(ref, arguments=json.dumps([[], kwargs]), given=json.dumps(value))
                )
            except (Exception, SystemExit) as error:  # noqa: BLE001  as above
                value = to_payload(_failure_of(error))
                _log.error("%s, a link of %s, has failed", ref, self.occurrence.id, exc_info=error)


def _call_of(handler: Mapping[str, Any] | None) -> tuple[str | None, Mapping[str, Any]]:
    """Return the function of a handler, and its arguments; None if it has none, or starts a job."""
    if handler is None or "call" not in handler:
        return None, {}
    return handler["call"], handler.get("kwargs") or {}


def _failure_of(error: BaseException) -> Failure:
    if isinstance(error, Failure):
        return error
    if isinstance(error, UnusableResult):
        return Failure(Outcome.FAILED.value, error.cause.value, str(error))
    kind = Cause.DEFINITION if isinstance(error, loading.CannotLoad) else Cause.EXCEPTION
    message = str(error) if kind is Cause.DEFINITION else texts.describe_error(error)
    return Failure(Outcome.FAILED.value, kind.value, message, loading.own_frames(error))


_eager = _EagerRuns()
#: One for each `collect` that has not ended. A submit goes to the last one.
_collecting: list[_CollectedRuns] = []
