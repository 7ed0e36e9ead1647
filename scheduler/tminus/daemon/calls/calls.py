"""The table of calls: functions that runners call now, for no T, and that have not ended."""

import queue
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from tminus.daemon.attempts.render import CannotRender
from tminus.daemon.calls.call import CallRequest, CallResult
from tminus.daemon.processes.commands import (
    Event,
    ExecutorDied,
    ExecutorUnavailable,
    Order,
    OrderHandle,
    Unsendable,
)
from tminus.daemon.processes.dispatch import HANGS_NS
from tminus.daemon.processes.executors import Runner
from tminus.daemon.runtime import Runtime
from tminus.executors.protocol import AttemptResult, Progress, Returned, Stop
from tminus.executors.python.wire import Work
from tminus.instants import SECOND
from tminus.model.job import RunnerKey
from tminus.secrets.redaction import Redaction

log = structlog.get_logger()

#: At most this many functions run in a runner at once. The others wait.
MOST = 64
_UNKNOWN = "; how far it came is not known"
#: The reason for the unknown result of a call that an earlier process has made.
KILLED = f"tminus was killed while it ran{_UNKNOWN}"
#: A call is given up if its function is not entered within this time: its module is not imported, or its
#: application dies or hangs.
_ENTERED_NS = 60 * SECOND
_STOP_REQUESTED = "it was asked to stop"


@dataclass(slots=True, eq=False)
class _OutstandingCall:
    """
    A call that has not ended.

    Attributes:
        runner_of: Returns the runner that takes it now; a reload changes it.
        is_apart: Whether it has a process of its own.
        ready_by_ns: Its runner must be ready by then, monotonic clock.
        ends_by_ns: Its result must be reported by then, monotonic clock.
        look_at_ns: When to check whether its runner hangs, monotonic clock.
        is_doubted: Whether it was loading when a process died.
    """

    request: CallRequest
    key: RunnerKey
    runner_of: Callable[[], Runner]
    is_apart: bool
    work: Work
    redaction: Redaction
    runner: Runner = field(init=False)
    handle: OrderHandle = field(init=False)
    ready_by_ns: int = 0
    ends_by_ns: int = 0
    look_at_ns: int = 0
    is_doubted: bool = False
    is_stop_requested: bool = False

    @property
    def owner(self) -> int:
        """As in its request."""
        return self.request.owner

    def order(self, number: int, open_orders: Sequence[Order]) -> Order:
        """Return its command."""
        return self.runner.channel.call(number, self.work, open_orders)


class Calls:
    """
    Calls that have not ended. Belongs to one thread.

    Args:
        wake: Called from other threads when there is something for `take_results`.
        doubts: Whether to report a call whose process dies while the call is loading. Otherwise it is made
            again in the next process.
    """

    def __init__(self, runtime: Runtime, *, wake: Callable[[], None], doubts: bool = False) -> None:
        self._runtime = runtime
        self._clock = runtime.clock
        self._wake = wake
        self._doubts = doubts
        self._calls: dict[int, _OutstandingCall] = {}  #: by owner
        self._results: list[CallResult] = []
        self._progress: dict[int, tuple[float, str]] = {}
        self._events: queue.SimpleQueue[tuple[int, OrderHandle, Event]] = queue.SimpleQueue()

    def __len__(self) -> int:
        return len(self.owners())

    def owners(self) -> set[int]:
        """Return the owners of all calls."""
        return {*self._calls, *(result.owner for result in self._results)}

    def running(self) -> Counter[RunnerKey]:
        """Return how many calls each runner has."""
        return Counter(call.key for call in self._calls.values())

    def begin(self, key: RunnerKey, calls: Sequence[CallRequest], runner: Runner | None = None) -> None:
        """
        Make these calls, all in one runner.

        Args:
            runner: That runner; None for the one in use for this application.
        """
        renderer = self._runtime.renderer()
        runner_of = partial(self._runtime.executors.runner, key) if runner is None else lambda: runner
        for request in calls:
            try:
                work, redaction = request.work(renderer), request.redaction(renderer)
                call = _OutstandingCall(
                    request, key, runner_of, is_apart=runner is not None, work=work, redaction=redaction
                )
                self._send(call)
            except CannotRender as error:
                self._end(CallResult(owner=request.owner, failed=error.message))
            except Exception as error:
                log.exception("a call could not be made", occurrence=str(request.occurrence))
                why = f"it cannot be sent: {type(error).__name__}: {error}"
                self._end(CallResult(owner=request.owner, failed=why))

    def stop(self, owner: int) -> None:
        """Ask the call of this owner to stop. If its function was not entered, it never is."""
        call = self._calls.get(owner)
        if call is not None and not call.is_stop_requested:
            call.is_stop_requested = True
            if call.runner.forget(call.handle):
                self._end(CallResult(owner=call.owner, cannot=_STOP_REQUESTED))
            else:
                call.runner.write(Stop(call=call.handle.number))

    def progress(self) -> dict[int, tuple[float, str]]:
        """Return the progress that was reported since the last call of this method, by owner."""
        progress, self._progress = self._progress, {}
        return progress

    def take_results(self) -> list[CallResult]:
        """Return the results since the last call of this method."""
        while not self._events.empty():
            owner, handle, event = self._events.get()
            call = self._calls.get(owner)
            if call is not None and call.handle is handle:
                try:
                    self._handle(call, event)
                except Exception as error:
                    log.exception("a report on a call broke", occurrence=str(call.request.occurrence))
                    started_ns = event.result.started_ns if isinstance(event, Returned) else 0
                    lost = f"taking in its result broke ({type(error).__name__}){_UNKNOWN}"
                    self._end(
                        CallResult(
                            owner=call.owner, executor=call.runner.name, lost=lost, started_ns=started_ns
                        )
                    )
        now_ns = self._clock.monotonic_ns()
        for call in list(self._calls.values()):
            if not call.handle.is_sent and now_ns > call.ready_by_ns and call.runner.forget(call.handle):
                self._end(
                    CallResult(owner=call.owner, cannot=_not_entered("its application did not get ready"))
                )
            elif now_ns > call.look_at_ns:
                call.look_at_ns = now_ns + HANGS_NS
                if not call.handle.is_sent or now_ns > call.ends_by_ns:
                    call.runner.replace(call.handle)
        results, self._results = self._results, []
        return results

    def _send(self, call: _OutstandingCall) -> None:
        """Send a call to the runner that takes it now."""
        self._calls[call.owner] = call
        now_ns, wall_ns = self._clock.monotonic_ns(), self._clock.wall_ns()
        latest_ns = wall_ns + _ENTERED_NS if call.request.latest_ns is None else call.request.latest_ns
        call.ready_by_ns = now_ns + max(latest_ns - wall_ns, 0)
        call.ends_by_ns = call.ready_by_ns + _ENTERED_NS + call.work.total_ns + HANGS_NS
        call.look_at_ns = now_ns + HANGS_NS
        call.work = replace(call.work, latest_ns=latest_ns)

        def on_event(handle: OrderHandle, event: Event) -> None:
            self._events.put((call.owner, handle, event))
            self._wake()

        try:
            call.runner = call.runner_of()
            call.handle = call.runner.send(call.order, on_event, answer_by_ns=now_ns + HANGS_NS)
        except CannotRender as error:  # a reload has taken its application away
            self._end(CallResult(owner=call.owner, cannot=error.message))
        except Exception as error:
            log.exception("a call cannot be sent", occurrence=str(call.request.occurrence))
            self._end(CallResult(owner=call.owner, cannot=f"sending it broke ({type(error).__name__})"))

    def _handle(self, call: _OutstandingCall, event: Event) -> None:
        match event:
            case Returned(result=finished):
                self._returned(call, finished)
            case Progress(fraction=fraction, text=text):
                self._progress[call.owner] = fraction, call.redaction.text(text)
            case ExecutorDied():
                self._after_death(call, event)
            case Unsendable(reasons=reasons):
                self._end(CallResult(owner=call.owner, failed=next(iter(reasons.values()))))
            case ExecutorUnavailable(reason=reason):
                self._end(CallResult(owner=call.owner, cannot=reason))

    def _after_death(self, call: _OutstandingCall, died: ExecutorDied) -> None:
        """
        End a call whose function was entered when its process died, or that may have caused the death. Send
        any other call to the next process.
        """
        index = call.work.index
        result = CallResult(
            owner=call.owner, executor=call.runner.name, died=died.reason, is_alone=died.running <= 1
        )
        why = f"the executor process died before the function was entered ({died.reason})"
        was_loading = index in died.loading
        if started_ns := (died.entered_ns or {}).get(index):
            lost = f"the executor process died while it ran ({died.reason}){_UNKNOWN}"
            self._end(replace(result, lost=lost, started_ns=started_ns))
        elif was_loading and self._doubts:
            self._end(replace(result, doubted=why))
        elif was_loading and result.is_alone and call.is_doubted:
            # When it was doubted before, another one may have been the cause.
            self._end(CallResult(owner=call.owner, failed=why))
        elif call.is_stop_requested:
            self._end(CallResult(owner=call.owner, cannot=_STOP_REQUESTED))
        else:
            call.is_doubted = call.is_doubted or was_loading
            self._send(call)

    def _returned(self, call: _OutstandingCall, finished: AttemptResult) -> None:
        if not finished.late:
            self._end(
                CallResult(
                    owner=call.owner, finished=finished, redaction=call.redaction, executor=call.runner.name
                )
            )
        elif call.is_stop_requested:
            self._end(CallResult(owner=call.owner, cannot=_STOP_REQUESTED))
        elif self._doubts:
            why = _not_entered("its module was not imported, or its contexts were not pushed,")
            self._end(CallResult(owner=call.owner, doubted=why, is_alone=call.is_apart))
        else:
            self._end(CallResult(owner=call.owner, cannot=_not_entered("its module was not imported")))

    def _end(self, result: CallResult) -> None:
        self._results.append(result)
        self._calls.pop(result.owner, None)


def _not_entered(why: str) -> str:
    return f"{why} within {_ENTERED_NS / SECOND:g} s"
