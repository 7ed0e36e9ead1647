"""Conversions of the links of chains: to calls, and from the results of calls."""

from dataclasses import dataclass, replace

from tminus.daemon.attempts.evaluation import outcome_of
from tminus.daemon.calls.call import CallRequest, CallResult
from tminus.executors.protocol import AttemptResult
from tminus.model.batch import AnyRun, DueOccurrence
from tminus.model.chain import Failure, Function, Handler, ReturnValue, TargetResponse, Value, value_of
from tminus.model.job import Job
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import Cause, LinkState, Origin, Outcome
from tminus.secrets.redaction import Redaction

#: The outcomes and causes of failures; a function may use others.
_WORDS = {*Outcome, *Cause}


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkResult:
    """The result of a link, and the value that flows on."""

    chain: int
    state: LinkState
    value: Value
    output: bytes = b""


@dataclass(slots=True)
class ActiveChain:
    """
    A chain that has not ended. Its next link is at `position`, and the last one that was called at `called`.
    """

    number: int
    run: AnyRun
    position: int
    failure: bool
    called: int | None = None

    @property
    def states(self) -> list[LinkState]:
        """The states of its links, as if none had ended: `running` for the one that was called last."""
        return [
            LinkState.RUNNING if at == self.called else LinkState.WAITING for at in range(len(self.run.then))
        ]

    @property
    def handler(self) -> Handler | None:
        """The handler of its next link; None if that link is passed over."""
        return self.run.then[self.position].handler_for(failure=self.failure)


def to_call(chain: int, run: AnyRun, function: Function, value: Value) -> CallRequest:
    """
    Return the call of a link's function.

    Args:
        chain: The row number of the run that it follows.
        run: That run.
        value: The input of the function.
    """
    return CallRequest(
        owner=chain,
        occurrence=run.id,
        work=lambda renderer: renderer.render_link(run, function, value),
        redaction=lambda renderer: Redaction(renderer.secrets(run)),
    )


def due_of(job: Job, *, accepted_ns: int, version: str) -> DueOccurrence:
    """Return the due occurrence of a job that a link starts; its T is set when its row is written."""
    return DueOccurrence(
        id=OccurrenceId(job=job.name, fire_time_ns=accepted_ns),
        job=job,
        planned_at_ns=accepted_ns,
        origin=Origin.CHAIN,
        config_version=version,
        params=job.params,
        is_written=True,
    )


def to_link_result(result: CallResult, function: str) -> LinkResult:
    """Return the result of a link, without the secrets that were sent, because the ledger stores it."""
    if result.finished is not None:
        return _finished(result.owner, result.finished, result.redaction, function)
    if result.lost:
        lost = Failure(outcome=Outcome.UNKNOWN, kind=Cause.EXECUTOR, message=result.lost)
        return LinkResult(chain=result.owner, state=LinkState.UNKNOWN, value=lost)
    failure = Failure(outcome=Outcome.FAILED, kind=Cause.DEFINITION, message=result.cannot or result.failed)
    return LinkResult(chain=result.owner, state=LinkState.FAILED, value=failure)


def _finished(chain: int, finished: AttemptResult, redaction: Redaction, function: str) -> LinkResult:
    output = redaction.output(finished.output)
    given, cause, detail = None, finished.cause, finished.detail
    try:
        given = _without_secrets(value_of(finished.body.decode()), redaction) if finished.body else None
    except ValueError as error:
        cause, detail = Cause.RESULT, f"what {function} returned cannot be handed on: {error}"
    if cause is None and given is not None:
        return LinkResult(chain=chain, state=LinkState.SUCCEEDED, value=given, output=output)
    failure = Failure(
        outcome=outcome_of(cause),
        kind=cause or Cause.OTHER,
        message=redaction.text(detail),
        traceback=redaction.text(finished.traceback) or None,
    )
    raised = given if isinstance(given, Failure) else failure  # a failure that was raised again is kept
    return LinkResult(chain=chain, state=LinkState.FAILED, value=raised, output=output)


def _without_secrets(value: Value, redaction: Redaction) -> Value:
    """
    Raises:
        ValueError: it cannot be searched.
    """
    match value:
        case ReturnValue(text=text):
            return ReturnValue(text=redaction.json_text(text))
        case TargetResponse(headers=headers, text=text):
            return replace(value, headers=tuple(map(redaction.text, headers)), text=redaction.text(text))
        case Failure(outcome=outcome, kind=kind, message=message, traceback=frames):
            outcome, kind = (word if word in _WORDS else redaction.text(word) for word in (outcome, kind))
            frames = frames and redaction.text(frames)
            return Failure(outcome=outcome, kind=kind, message=redaction.text(message), traceback=frames)
