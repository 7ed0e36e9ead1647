"""Functions that follow runs, called in the runners of their applications: at once, several together, each reported once."""

import queue
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from scheduler.daemon.channels import Times
from scheduler.daemon.flight import HANGS_NS, Flight
from scheduler.daemon.redaction import Redaction
from scheduler.daemon.render import CannotRender
from scheduler.daemon.station import Station
from scheduler.daemon.supervisor import Broken, Lost, Shard, ShardEvent
from scheduler.executors.python.wire import Armed, Ended, Finished, Results
from scheduler.instants import SECOND
from scheduler.model.batch import Due
from scheduler.model.chain import Answer, Failure, Function, Result, Value, value_of
from scheduler.model.job import RunnerKey
from scheduler.outcome import Cause, LinkState, Outcome

#: Functions that a runner calls at once; the rest wait their turn.
MOST = 64
#: A function whose import takes longer is called without that it was prepared.
_ARM_NS = 2 * SECOND
#: A function that is not entered within this never will be: its module does not import, or its application dies, or hangs.
_ENTERED_NS = 60 * SECOND
#: Of failures; a function may say others.
_WORDS = {*Outcome, *Cause}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """
    A function to call.

    Attributes:
        chain: Whose link it is; its row number.
        due: The run that it follows.
        value: What it gets.
    """

    chain: int
    due: Due
    function: Function
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """How a call has ended, and what flows on from it."""

    chain: int
    state: LinkState
    value: Value
    output: bytes = b""


@dataclass(slots=True, eq=False)
class _Together:
    """Calls that were sent to one runner together, which gets ready for them by then (monotonic clock)."""

    key: RunnerKey
    ready_by_ns: int
    flight: Flight = field(init=False)
    calls: dict[int, Call] = field(default_factory=dict)
    redactions: dict[int, Redaction] = field(default_factory=dict)

    def back(self, index: int) -> Call:
        """A call has ended."""
        self.flight.outstanding.pop(index, None)
        return self.calls.pop(index)


class Calls:
    """
    Belongs to the thread of the chains.

    Args:
        wake: Called from other threads when there is something for `returned`.
    """

    def __init__(self, station: Station, *, wake: Callable[[], None]) -> None:
        self._station = station
        self._wake = wake
        self._running: set[_Together] = set()
        self._returned: list[Returned] = []
        self._events: queue.SimpleQueue[tuple[_Together, Shard, ShardEvent]] = queue.SimpleQueue()

    def __len__(self) -> int:
        return len(self.chains())

    def chains(self) -> set[int]:
        """Whose links these are."""
        called = (call.chain for together in self._running for call in together.calls.values())
        return {*called, *(one.chain for one in self._returned)}

    def running(self) -> Counter[RunnerKey]:
        """How many each runner has."""
        return sum((Counter({one.key: len(one.calls)}) for one in self._running), Counter())

    def begin(self, key: RunnerKey, calls: Sequence[Call]) -> None:
        """Call these, all in one runner."""
        together, renderer = _Together(key, self._ready_by_ns()), self._station.renderer()

        def tell(_flight: Flight, shard: Shard, event: ShardEvent) -> None:
            self._events.put((together, shard, event))
            self._wake()

        try:
            together.flight = Flight(partial(self._station.executors.runner, key), clock=self._station.clock, tell=tell)
        except CannotRender as error:  # a reload has taken its application away
            for call in calls:
                self._cannot(call, error.message)
            return
        for index, call in enumerate(calls):
            try:
                work = renderer.link(call.due, call.function, call.value, index)
                redaction = Redaction(renderer.secrets(call.due))
            except CannotRender as error:
                self._cannot(call, error.message)
            else:
                together.flight.outstanding[index], together.flight.works[index] = call.due, work
                together.calls[index], together.redactions[index] = call, redaction
        if together.calls:
            self._running.add(together)
            self._arm(together)

    def returned(self) -> list[Returned]:
        """What has ended since this was asked last."""
        while not self._events.empty():
            together, shard, event = self._events.get()
            if together.flight.is_of(shard):
                self._hear(together, event)
        for together in self._running:
            if not together.flight.is_released and self._station.clock.monotonic_ns() > together.ready_by_ns:
                together.flight.withdraw()
                for index in list(together.calls):
                    self._cannot(together.back(index), _not_entered("its application did not get ready"))
            together.flight.replace_if_it_hangs()
        self._running = {together for together in self._running if together.calls}
        returned, self._returned = self._returned, []
        return returned

    def _ready_by_ns(self) -> int:
        return self._station.clock.monotonic_ns() + _ENTERED_NS

    def _arm(self, together: _Together) -> None:
        now_ns, works = self._station.clock.wall_ns(), together.flight.works
        works.update({index: replace(works[index], latest_ns=now_ns + _ENTERED_NS) for index in together.calls})
        times = Times(t_ns=now_ns, deadline_ns=now_ns + _ARM_NS, give_up_ns=now_ns + _ARM_NS + HANGS_NS)
        try:
            together.flight.arm(times, self._station.definitions.daemon)
        except CannotRender as error:
            for index in list(together.calls):
                self._cannot(together.back(index), error.message)

    def _hear(self, together: _Together, event: ShardEvent) -> None:
        match event:
            case Armed():
                longest_ns = max((call.due.job.timeouts.total_ns for call in together.calls.values()), default=0)
                together.flight.release(ends_in_ns=_ENTERED_NS + longest_ns)
            case Results(finished=finished):
                for one in finished:
                    if one.index in together.calls:
                        redaction = together.redactions[one.index]
                        self._returned.append(_judged(together.back(one.index), one, redaction))
            case Lost(how=how, entered=entered):
                for index in [index for index in together.calls if index in (entered or ())]:
                    self._lost(together.back(index), f"the executor process died while it ran ({how})")
                if together.calls:
                    self._arm(together)
            case Broken(why=why):
                for index in list(together.calls):
                    self._cannot(together.back(index), why)
            case Ended(released=False):  # sent home: the permit came too late
                together.ready_by_ns = self._ready_by_ns()
                self._arm(together)
            case Ended():
                for index in list(together.calls):
                    self._lost(together.back(index), "the executor has not said how it went")

    def _cannot(self, call: Call, why: str) -> None:
        failure = Failure(outcome=Outcome.FAILED, kind=Cause.DEFINITION, message=why)
        self._returned.append(Returned(chain=call.chain, state=LinkState.FAILED, value=failure))

    def _lost(self, call: Call, why: str) -> None:
        failure = Failure(outcome=Outcome.UNKNOWN, kind=Cause.EXECUTOR, message=f"{why}; how far it came is not known")
        self._returned.append(Returned(chain=call.chain, state=LinkState.UNKNOWN, value=failure))


def _judged(call: Call, finished: Finished, redaction: Redaction) -> Returned:
    """What it gave flows on, without the secrets that went out: it is stored."""
    output, given, cause, detail = redaction.data(finished.output), None, finished.cause, finished.detail
    if finished.late:
        cause, detail = Cause.DEFINITION, _not_entered("its module was not imported")
    try:
        given = _without_secrets(value_of(finished.body.decode()), redaction) if finished.body else None
    except ValueError as error:
        cause, detail = Cause.RESULT, f"what {call.function} returned cannot be handed on: {error}"
    if cause is None and given is not None:
        return Returned(chain=call.chain, state=LinkState.SUCCEEDED, value=given, output=output)
    failure = Failure(
        outcome=Outcome.TIMED_OUT if cause == Cause.TIMEOUT else Outcome.FAILED,
        kind=cause or Cause.OTHER,
        message=redaction.text(detail),
        traceback=redaction.text(finished.traceback) or None,
    )
    raised = given if isinstance(given, Failure) else failure  # one that was raised again goes on as it is
    return Returned(chain=call.chain, state=LinkState.FAILED, value=raised, output=output)


def _not_entered(why: str) -> str:
    return f"{why} within {_ENTERED_NS / SECOND:g} s"


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
