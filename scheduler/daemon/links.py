"""Links of chains as calls: their input, and what flows on from them."""

from dataclasses import dataclass, replace

from scheduler.daemon.call import Call, Came
from scheduler.daemon.judge import outcome_of
from scheduler.daemon.redaction import Redaction
from scheduler.executors.python.wire import Finished
from scheduler.model.batch import Due
from scheduler.model.chain import Answer, Failure, Function, Handler, Result, Value, value_of
from scheduler.model.job import Job
from scheduler.model.occurrence import OccurrenceId
from scheduler.outcome import Cause, LinkState, Origin, Outcome

#: The outcomes and causes of failures; a function may use others.
_WORDS = {*Outcome, *Cause}


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """How a link has ended, and what flows on from it."""

    chain: int
    state: LinkState
    value: Value
    output: bytes = b""


@dataclass(slots=True)
class ActiveChain:
    """A chain that has not ended. Its next link is at `position`, and the last one that was called at `called`."""

    number: int
    due: Due
    position: int
    failure: bool
    called: int | None = None

    @property
    def states(self) -> list[LinkState]:
        """Of its links, as if none had ended: `running` for the one that was called last."""
        return [LinkState.RUNNING if at == self.called else LinkState.WAITING for at in range(len(self.due.job.then))]

    @property
    def handler(self) -> Handler | None:
        """What its next link does with what flows into it."""
        return self.due.job.then[self.position].taken_by(failure=self.failure)


def call_of(chain: int, due: Due, function: Function, value: Value) -> Call:
    """
    Return the call of a link's function.

    Args:
        chain: The row number of the run that it follows.
        due: That run.
        value: The input of the function.
    """
    return Call(
        owner=chain,
        due=due,
        work=lambda renderer, index: renderer.link(due, function, value, index),
        secrets=lambda renderer: renderer.secrets(due),
    )


def due_of(job: Job, *, accepted_ns: int, version: str) -> Due:
    """Return the due occurrence of a job that a link starts; its T is set when its row is written."""
    return Due(
        id=OccurrenceId(job=job.name, fire_time_ns=accepted_ns),
        job=job,
        planned_at_ns=accepted_ns,
        origin=Origin.CHAIN,
        config_version=version,
        params=job.params,
        is_written=True,
    )


def returned(came: Came, function: str) -> Returned:
    """Return how a link has ended, without the secrets that went out: what flows on is stored."""
    if came.finished is not None:
        return _finished(came.owner, came.finished, came.redaction, function)
    if came.lost:
        lost = Failure(outcome=Outcome.UNKNOWN, kind=Cause.EXECUTOR, message=came.lost)
        return Returned(chain=came.owner, state=LinkState.UNKNOWN, value=lost)
    failure = Failure(outcome=Outcome.FAILED, kind=Cause.DEFINITION, message=came.cannot or came.failed)
    return Returned(chain=came.owner, state=LinkState.FAILED, value=failure)


def _finished(chain: int, finished: Finished, redaction: Redaction, function: str) -> Returned:
    output, given, cause, detail = redaction.output(finished.output), None, finished.cause, finished.detail
    try:
        given = _without_secrets(value_of(finished.body.decode()), redaction) if finished.body else None
    except ValueError as error:
        cause, detail = Cause.RESULT, f"what {function} returned cannot be handed on: {error}"
    if cause is None and given is not None:
        return Returned(chain=chain, state=LinkState.SUCCEEDED, value=given, output=output)
    failure = Failure(
        outcome=outcome_of(cause),
        kind=cause or Cause.OTHER,
        message=redaction.text(detail),
        traceback=redaction.text(finished.traceback) or None,
    )
    raised = given if isinstance(given, Failure) else failure  # one that was raised again goes on as it is
    return Returned(chain=chain, state=LinkState.FAILED, value=raised, output=output)


def _without_secrets(value: Value, redaction: Redaction) -> Value:
    """
    Raises:
        ValueError: it cannot be searched.
    """
    match value:
        case Result(text=text):
            return Result(text=redaction.json_text(text))
        case Answer(headers=headers, text=text):
            return replace(value, headers=tuple(map(redaction.text, headers)), text=redaction.text(text))
        case Failure(outcome=outcome, kind=kind, message=message, traceback=frames):
            outcome, kind = (word if word in _WORDS else redaction.text(word) for word in (outcome, kind))
            frames = frames and redaction.text(frames)
            return Failure(outcome=outcome, kind=kind, message=redaction.text(message), traceback=frames)
