"""
Background runs: functions that applications submit. Their runners call each of them at least once.

There is one thread. The ledger has each call before it is made. If a function was called and has no outcome,
its result is unknown, and it is called again.
"""

import queue
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import structlog

from tminus.daemon.attempts.render import CannotRender
from tminus.daemon.attempts.retries import retry_at_ns
from tminus.daemon.calls.call import CallRequest, CallResult
from tminus.daemon.calls.calls import Calls
from tminus.daemon.processes.executors import Runner
from tminus.daemon.runs.background_adapter import to_result, to_run, to_work
from tminus.daemon.runs.code_waits import CodeWaits
from tminus.daemon.runs.suspects import Suspects
from tminus.daemon.runtime import Runtime
from tminus.daemon.service_thread import DrainingThread
from tminus.errors import LedgerError
from tminus.instants import SECOND
from tminus.ledger import background_queue, history, submissions, upkeep
from tminus.ledger.background_queue import QueuedRun
from tminus.model.background import Submission
from tminus.model.definitions import App
from tminus.model.job import RunnerKey
from tminus.outcome import Outcome
from tminus.secrets.redaction import Redaction

log = structlog.get_logger()

#: After this many deaths of its process that count against a run, the run is not called again.
_MOST_DEATHS = 3
#: Limit for the calls of a run, whatever the cause of their unknown results: a run that brings down the
#: machine must end.
MOST_CALLS = 10
_LOOK_S = 0.05
#: Runs that are submitted within this time start in one transaction, because web workers use the ledger, too.
_GATHER_S = 0.02
#: The ledger is read this often even if nothing seems to have changed: an application may have become ready.
_LOOK_AGAIN_NS = 2 * SECOND
#: An application that cannot take its runs is tried again after this long, because each try imports it.
_REST_NS = 5 * SECOND
#: If nothing has run for this long, the inputs of runs are removed from the ledger's log, too.
_QUIET_NS = 2 * SECOND
_RETRY_S = 0.5


class BackgroundRuns:
    """The thread that sends background runs to their runners. Thread-safe."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._abandoned = threading.Event()
        self._thread = DrainingThread(
            "background",
            self._run,
            pause_s=_LOOK_S,
            gather_s=_GATHER_S,
            is_draining=lambda: bool(self._calls or self._results),
            abandoned=self._abandoned,
        )
        self._changed = threading.Event()
        self._calls = Calls(runtime, wake=self._thread.wake.set, doubts=True)
        self._suspects = Suspects(runtime.executors)
        self._code_waits = CodeWaits(runtime.ledger)
        self._running: dict[int, QueuedRun] = {}
        #: Results that neither the ledger nor the recorder has yet.
        self._results: deque[CallResult] = deque()
        #: Runs that were not called, although the ledger may have their start.
        self._unsure_starts: set[int] = set()
        self._resting: dict[str, int] = {}  #: until when an application rests, monotonic clock
        self._to_cancel: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self._last_look_ns = 0
        #: The last end of a run since the ledger's log was emptied, monotonic clock.
        self._last_end_ns: int | None = None
        self._next_due_ns: int | None = None

    def start(self) -> None:
        """
        Start; runs that an earlier process has left come first.

        Raises:
            LedgerError: the ledger does not work.
        """
        self.publish_apps()
        self._thread.start()

    def publish_apps(self) -> None:
        """
        Store which applications this process serves, and try the runs again that wait for newer code.

        Raises:
            LedgerError: the ledger does not work.
        """
        background_queue.set_served_apps(self._runtime.ledger, [app.name for app in self._apps()])
        self._resting = {}
        self._code_waits.reload()
        self.wake()

    def wake(self) -> None:
        """Read the ledger soon, because it has changed."""
        self._changed.set()
        self._thread.wake.set()

    def cancel(self, number: int) -> None:
        """
        Cancel the run with this row number. If it is queued, even for another call, it never starts. If it is
        running, ask it to stop.
        """
        self._to_cancel.put(number)
        self._thread.wake.set()

    @property
    def running(self) -> int:
        """The number of runs that were called and have no outcome yet."""
        return len(self._running)

    def leave(self) -> None:
        """Start no further run; the next process starts the others."""
        self._thread.stopping.set()

    def stop(self, timeout_s: float) -> None:
        """Start no further run, and wait at most this long for the functions that were called."""
        self._thread.drain(timeout_s)

    def _apps(self) -> Sequence[App]:
        """Return all applications: those under `apps:`, and inline ones."""
        return list(self._runtime.definitions.apps.values())

    def _run(self) -> None:
        try:
            self._pass()
        except LedgerError as error:
            log.error("the ledger does not work, background runs wait", error=error.message)
            self._abandoned.wait(_RETRY_S)
        except Exception:
            log.exception("background runs broke, trying again")
            self._forget_lost_runs()
            self._abandoned.wait(_RETRY_S)

    def _forget_lost_runs(self) -> None:
        """
        Forget runs that a bug has lost on the way to their runner; the next start calls them again.
        """
        known = self._calls.owners() | {result.owner for result in self._results}
        for number in self._running.keys() - known:
            del self._running[number]

    def _pass(self) -> None:
        self._code_waits.take_reload(self._running)
        while not self._to_cancel.empty():
            self._cancel(self._to_cancel.get())
        self._results.extend(ended := self._calls.take_results())
        while self._results:
            self._take_first()
        if progress := self._calls.progress():
            background_queue.record_progress(self._runtime.ledger, progress)
        if not self._thread.stopping.is_set() and (ended or self._is_look_due()):
            self._start_queued()
        self._suspects.release_all_but(self._running)
        self._empty_ledger_log()

    def _cancel(self, number: int) -> None:
        if number in self._running:
            self._cancelled.add(number)
            self._calls.stop(number)
            return
        try:
            submissions.cancel(self._runtime.ledger, number, now_ns=self._runtime.clock.wall_ns())
        except LedgerError:
            self._to_cancel.put(number)
            raise
        self._last_end_ns = self._runtime.clock.monotonic_ns()

    def _take_first(self) -> None:
        result = self._results.popleft()
        try:
            self._take(result)
        except LedgerError:
            self._results.appendleft(result)
            raise
        except Exception as error:
            if result.failed:
                raise
            log.exception(
                "the end of a background run is not valid",
                occurrence=str(self._running[result.owner].occurrence),
            )
            reason = f"how it ended cannot be taken: {type(error).__name__}"
            self._running[result.owner] = without_options(self._running[result.owner])
            self._results.appendleft(CallResult(owner=result.owner, executor=result.executor, failed=reason))

    def _empty_ledger_log(self) -> None:
        now_ns = self._runtime.clock.monotonic_ns()
        if self._last_end_ns is not None and not self._running and now_ns - self._last_end_ns > _QUIET_NS:
            self._runtime.gate.wait_open(own=None, deadline_ns=self._runtime.clock.wall_ns() + SECOND)
            self._last_end_ns = None if upkeep.empty_log(self._runtime.ledger) else now_ns

    def _is_look_due(self) -> bool:
        now_ns = self._runtime.clock.monotonic_ns()
        is_due = self._next_due_ns is not None and self._runtime.clock.wall_ns() >= self._next_due_ns
        return self._changed.is_set() or is_due or now_ns - self._last_look_ns > _LOOK_AGAIN_NS

    def _start_queued(self) -> None:
        # Not around a T: each outcome of a batch changes the ledger, and each change wakes this thread.
        self._runtime.gate.wait_open(own=None, deadline_ns=self._runtime.clock.wall_ns() + SECOND)
        self._changed.clear()
        self._last_look_ns = self._runtime.clock.monotonic_ns()
        ledger, now_ns, running = self._runtime.ledger, self._runtime.clock.wall_ns(), self._calls.running()
        if self._unsure_starts:
            background_queue.requeue(ledger, list(self._unsure_starts))
            self._unsure_starts.clear()
        self._next_due_ns = background_queue.next_due(ledger, after_ns=now_ns)
        for app in self._apps():
            room = app.background - running[RunnerKey(app.name)]
            if room <= 0 or self._last_look_ns < self._resting.get(app.name, 0):
                continue
            if found := background_queue.find_due_runs(ledger, app.name, now_ns=now_ns, limit=room):
                self._begin(app, found)
            room -= len(found)
            if (apart := min(room, self._suspects.room(app.name))) > 0:
                suspects = background_queue.find_due_runs(
                    ledger, app.name, now_ns=now_ns, limit=apart, suspects=True
                )
                self._begin_suspects(app, suspects)
            # At least one, or new runs could keep those away that wait for newer code.
            if self._code_waits.try_again(app.name, limit=max(room, 1)):
                self.wake()

    def _begin_suspects(self, app: App, found: Sequence[QueuedRun]) -> None:
        for run in found:
            try:
                runner = self._suspects.runner(app.name, run.number)
            except (CannotRender, OSError) as error:
                self._rest(app.name, str(error))
                return
            self._begin(app, [run], runner)

    def _begin(self, app: App, found: Sequence[QueuedRun], runner: Runner | None = None) -> None:
        calls: dict[int, CallRequest] = {}
        refusals: dict[int, str] = {}  # for each run why it is not called; empty if it is called
        for run in found:
            try:
                calls[run.number] = _call_of(run)
                refusals[run.number] = run.unreadable
            except Exception as error:  # noqa: BLE001  anyone may write a row; the other runs are called
                refusals[run.number] = f"the submission is not valid: {type(error).__name__}: {error}"
        ledger, instance = self._runtime.ledger, self._runtime.instance
        try:
            begun = background_queue.mark_started(
                ledger, found, instance=instance, now_ns=self._runtime.clock.wall_ns()
            )
        except LedgerError:
            self._unsure_starts.update(run.number for run in found)
            raise
        self._running |= {
            run.number: without_options(run) if refusals[run.number] else run
            for run in found
            if run.number in begun
        }
        self._results += [
            CallResult(owner=number, failed=refusals[number]) for number in begun if refusals[number]
        ]
        calls = {number: call for number, call in calls.items() if number in begun and not refusals[number]}
        self._calls.begin(RunnerKey(app.name), list(calls.values()), runner)

    def _take(self, result: CallResult) -> None:
        run, is_cancelled = self._running[result.owner], result.owner in self._cancelled
        if result.cannot and not is_cancelled:
            # Its application does not work at the moment, so the run waits.
            background_queue.requeue(self._runtime.ledger, [run.number])
            self._rest(run.work.app, result.cannot)
        elif result.finished and result.finished.not_in_code and not is_cancelled:
            self._code_waits.add(run, result.finished.detail)
        elif result.doubted and not is_cancelled:
            deaths = run.deaths.count_death(is_alone=result.is_alone)
            if deaths.alone < _MOST_DEATHS:
                background_queue.requeue_suspect(self._runtime.ledger, run, deaths, None)
            else:
                self._end(run, replace(result, doubted="", failed=result.doubted), is_cancelled=False)
        else:
            self._end(run, result, is_cancelled=is_cancelled)
        del self._running[result.owner]
        self._cancelled.discard(result.owner)

    def _rest(self, app: str, why: str) -> None:
        now_ns = self._runtime.clock.monotonic_ns()
        if now_ns >= self._resting.get(app, 0):
            log.warning("background runs wait", app=app, reason=why)
        self._resting[app] = now_ns + _REST_NS

    def _end(self, run: QueuedRun, result: CallResult, *, is_cancelled: bool) -> None:
        now_ns = self._runtime.clock.wall_ns()
        earlier = history.find_attempts(self._runtime.ledger, run.occurrence) if run.attempt > 1 else []
        end = to_result(
            run,
            result,
            earlier,
            now_ns=now_ns,
            is_cancelled=is_cancelled,
            history=self._runtime.definitions.daemon.history,
        )
        deaths = run.deaths.count_death(is_alone=result.is_alone)
        if end.outcome is Outcome.UNKNOWN and deaths.alone < _MOST_DEATHS and run.attempt < MOST_CALLS:
            log.warning("background run is called again", occurrence=str(run.occurrence), reason=end.reason)
            background_queue.requeue_suspect(self._runtime.ledger, run, deaths, end.attempts[-1])
            return
        if result.finished and (at_ns := retry_at_ns(to_run(run).retry, end, result.finished)) is not None:
            log.warning("background run is tried again", occurrence=str(run.occurrence), reason=end.reason)
            background_queue.requeue_failed(
                self._runtime.ledger, run.number, end.attempts[-1], next_attempt_ns=at_ns
            )
            return
        if end.outcome is not Outcome.SUCCEEDED:
            log.warning(end.outcome.value, occurrence=str(run.occurrence), reason=end.reason)
        self._runtime.recorder.put(end)
        self._last_end_ns = self._runtime.clock.monotonic_ns()


def without_options(run: QueuedRun) -> QueuedRun:
    """Return the run with nothing but its function: its input and options cannot raise any more."""
    return replace(run, work=Submission(app=run.work.app, ref=run.work.ref))


def _call_of(run: QueuedRun) -> CallRequest:
    total_ns = to_run(run).total_ns
    return CallRequest(
        owner=run.number,
        occurrence=run.occurrence,
        work=lambda renderer: to_work(run, total_ns=total_ns, keep_output=renderer.keep_body),
        redaction=lambda _renderer: Redaction(),
    )
