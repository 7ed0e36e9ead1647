"""
The preparation of a batch: before its requests are armed, Python functions may change them, in the runners of
their applications.

It happens before the commit, and nothing is sent. If a runner dies, its requests are prepared again.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from tminus.daemon.attempts.render import CannotRender
from tminus.daemon.batches import prepare_call
from tminus.daemon.batches.batch_results import BatchResults
from tminus.daemon.calls.call import CallRequest, CallResult
from tminus.daemon.calls.calls import Calls
from tminus.daemon.processes.commands import Event, OrderHandle
from tminus.daemon.processes.dispatch import Dispatch, Holder, Item, dispatch_for
from tminus.daemon.processes.executors import Runner
from tminus.daemon.runtime import Runtime
from tminus.executors.http.wire import Request
from tminus.executors.protocol import AttemptResult
from tminus.model.job import HttpTarget, RunnerKey
from tminus.outcome import Cause
from tminus.policies.misfire import is_misfire

_NOT_IN_TIME = "its prepare was not done within its misfire_grace_time"


class PreparePhase:
    """
    The requests of one batch that Python functions may change. Belongs to the thread of its countdown.

    Args:
        planned_at_ns: T, wall clock.
        on_event: Called on other threads with what happens to the shards of prepared requests.
        wake: Called on other threads when there is something for `update`.

    Attributes:
        outstanding: Requests that are being prepared.
        prepared: Requests that wait for the lanes.
    """

    def __init__(
        self,
        runtime: Runtime,
        results: BatchResults,
        *,
        planned_at_ns: int,
        on_event: Callable[[Dispatch, OrderHandle, Event], None],
        wake: Callable[[], None],
    ) -> None:
        self.outstanding: dict[int, Item] = {}
        self.prepared: list[Dispatch] = []
        self._runtime = runtime
        self._clock = runtime.clock
        self._keep_output = runtime.definitions.daemon.history.max_body
        self._results = results
        self._planned_at_ns = planned_at_ns
        self._on_event = on_event
        self._calls = Calls(runtime, wake=wake, doubts=True)
        self._requests: dict[int, CallRequest] = {}
        self._died: set[int] = set()  #: their runner died during their prepare
        self._alone: dict[int, Runner] = {}  #: runners for a single request each, one at a time
        self._for_alone: deque[int] = deque()
        self._take_at_ns = 0

    @property
    def take_at_ns(self) -> int | None:
        """When to take the requests that are ready, even if others are not; None if none is ready."""
        return self._take_at_ns if self.prepared else None

    @property
    def _holders(self) -> list[Holder]:
        return [self, *self.prepared]

    def takes(self, item: Item) -> bool:
        """
        Take an occurrence that has a `prepare`; return whether it has one.

        Raises:
            CannotRender: its body is too long.
        """
        match item.due.job.target, item.work:
            case HttpTarget(prepare=str(ref)), Request() as request:
                now_ns = self._clock.wall_ns()
                work = prepare_call.prepare_work(
                    ref, item.due, request, now_ns=now_ns, keep_output=self._keep_output
                )
                self.outstanding[request.index] = item
                self._requests[request.index] = CallRequest(
                    owner=request.index,
                    occurrence=item.due.id,
                    work=lambda _renderer: work,
                    redaction=lambda _renderer: item.redaction,
                    latest_ns=request.latest_ns,
                )
                return True
        return False

    def start(self, commit_at_ns: int) -> None:
        """
        Start to prepare the requests. If all are ready within half of the time until the commit, they are
        armed together.
        """
        now_ns = self._clock.wall_ns()
        self._take_at_ns = now_ns + (commit_at_ns - now_ns) // 2
        self._begin(self.outstanding.values())

    def take(self) -> Dispatch | None:
        """
        Return a dispatch for the lanes if one is due: when all requests are ready, otherwise in ever smaller
        steps until T, and afterwards at once.
        """
        now_ns = self._clock.wall_ns()
        if not self.prepared or (now_ns < self._take_at_ns and self.outstanding):
            return None
        self._take_at_ns = now_ns + max(self._planned_at_ns - now_ns, 0) // 2
        dispatch = self.prepared.pop()
        return dispatch if dispatch.outstanding else None

    def update(self) -> None:
        """Take the results of `prepare`, and end the requests that are too late."""
        for result in self._calls.take_results():
            if item := self.outstanding.pop(result.owner, None):
                with self._results.guard("preparing", item.due):
                    self._take_in(item, result)
        for holder in self._holders:
            self._results.too_late(holder, _NOT_IN_TIME)
        for index in self._calls.owners() - self.outstanding.keys():
            self._calls.stop(index)
        self._begin_alone()

    def abandon(self) -> None:
        """End all requests as `missed`, because none was sent."""
        for holder in self._holders:
            self._results.late(holder, "tminus was stopped before its prepare was done (shutdown_grace)")

    def withdraw(self) -> None:
        """Stop preparing."""
        for index in self._calls.owners():
            self._calls.stop(index)
        for runner in self._alone.values():
            runner.retire()
        self._alone.clear()

    def _begin(self, items: Iterable[Item], runner: Runner | None = None) -> None:
        """Prepare these requests, in that runner or in the runners of their applications."""
        calls = defaultdict[RunnerKey, list[CallRequest]](list)
        for item in list(items):
            with self._results.guard("preparing", item.due):
                calls[_runner_key(item)].append(self._requests[item.work.index])
                continue
            del self.outstanding[item.work.index]  # that raised, and the guard has ended the occurrence
        for key, some in calls.items():
            self._calls.begin(key, some, runner)

    def _take_in(self, item: Item, result: CallResult) -> None:
        finished, index = result.finished, item.work.index
        if finished is not None and finished.cause != Cause.TIMEOUT:
            self._take_request(item, finished, result.executor)
        elif finished is not None or (result.doubted and not result.died):
            self._results.missed([item.due], _NOT_IN_TIME)
        elif result.doubted and index not in self._alone:
            self.outstanding[index] = item
            self._for_alone.append(index)
        elif result.doubted:
            self._refuse(item, result, f"its runner died while its prepare was loaded ({result.died})")
        elif result.died and index not in self._died:
            self._died.add(index)
            self.outstanding[index] = item
            self._begin([item], self._alone.get(index))
        elif result.died:
            self._refuse(item, result, f"its runner died twice during its prepare ({result.died})")
        elif result.lost:
            self._refuse(item, result, result.lost)
        elif is_misfire(now_ns=self._clock.wall_ns(), latest_start_ns=item.due.latest_start_ns):
            self._results.missed([item.due], _NOT_IN_TIME)
        else:
            self._results.not_sent(item.due, result.cannot or result.failed)

    def _take_request(self, item: Item, finished: AttemptResult, executor: str | None) -> None:
        """Take the request as `prepare` has changed it, or fail its job."""
        target, request = item.due.job.target, item.work
        if not isinstance(target, HttpTarget) or not isinstance(request, Request):
            raise TypeError("no request")
        ref = str(target.prepare)
        try:
            if finished.cause is not None:
                raise CannotRender(prepare_call.failure_message(ref, finished))
            request = prepare_call.apply_changes(ref, request, finished.body, item.redaction)
        except CannotRender as error:
            failed = replace(
                finished,
                started_ns=0,
                duration_ns=0,
                phases={},
                cause=Cause.DEFINITION,
                detail=error.message,
                body=b"",
            )
            self._results.not_prepared(item, failed, executor)
        else:
            lanes = partial(self._runtime.executors.executor_for, item.due.job.target)
            dispatch = dispatch_for(self.prepared, lanes, clock=self._clock, on_event=self._on_event)
            dispatch.add(Item(item.due, request, item.redaction, printed=finished.output))

    def _begin_alone(self) -> None:
        """
        Prepare the requests that may have ended their runner while their `prepare` was loaded. Each gets a
        runner of its own, one after another, so that none ends another one's runner.
        """
        for index in self._alone.keys() - self.outstanding.keys():
            self._alone.pop(index).retire()
        while self._for_alone and not self._alone:
            index = self._for_alone.popleft()
            if item := self.outstanding.get(index):
                try:
                    runner = self._alone[index] = self._runtime.executors.start_extra(_runner_key(item))
                except (CannotRender, OSError) as error:
                    why = f"its runner died while its prepare was loaded, and there is no other one: {error}"
                    self._refuse(self.outstanding.pop(index), CallResult(owner=index), why)
                else:
                    self._begin([item], runner)

    def _refuse(self, item: Item, result: CallResult, why: str) -> None:
        refused = AttemptResult(
            index=item.work.index, finished_ns=self._clock.wall_ns(), cause=Cause.EXECUTOR, detail=why
        )
        self._results.not_prepared(item, refused, result.executor)


def _runner_key(item: Item) -> RunnerKey:
    return RunnerKey(item.due.job.target.app)
