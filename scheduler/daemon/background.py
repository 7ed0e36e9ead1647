"""
Background runs: functions that applications submit, called in their runners as they come, at least once.

One thread. A call is written to the ledger before it is made. If a function was called and has no outcome, its result is unknown,
and it is called again.
"""

import queue
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import structlog

from scheduler.daemon.call import Call, Came
from scheduler.daemon.calls import Calls
from scheduler.daemon.handed_over import due_of, ended, work_of
from scheduler.daemon.render import CannotRender
from scheduler.daemon.station import Station
from scheduler.daemon.supervisor import Supervisor
from scheduler.daemon.suspects import Suspects
from scheduler.errors import LedgerError
from scheduler.instants import SECOND
from scheduler.ledger import background, history, runs, upkeep
from scheduler.ledger.background import Run
from scheduler.model.background import Work
from scheduler.model.definitions import App
from scheduler.model.job import RunnerKey
from scheduler.outcome import Outcome

log = structlog.get_logger()

#: Deaths of its process that count against a run; after that many it is not called again.
_MOST_DEATHS = 3
#: Calls of a run with an unknown result, whatever the cause: a run must not bring down the machine for ever.
MOST_CALLS = 10
_LOOK_S = 0.05
#: Runs that come within this start in one transaction: web workers use the ledger, too.
_GATHER_S = 0.02
#: A look at the ledger even if nothing seems to have changed: an application may have become ready.
_LOOK_AGAIN_NS = 2 * SECOND
#: Rest for an application that cannot take its runs, because each try imports it.
_REST_NS = 5 * SECOND
#: If nothing has run for this long, the inputs of runs are removed from the ledger's log, too.
_QUIET_NS = 2 * SECOND
_RETRY_S = 0.5
#: For its thread to end: it may wait for a locked ledger.
_END_S = 0.5


class Background:
    """Thread-safe."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._wake = threading.Event()
        self._changed = threading.Event()
        self._calls = Calls(station, wake=self._wake.set, doubts=True)
        self._suspects = Suspects(station.executors)
        self._running: dict[int, Run] = {}
        self._came: deque[Came] = deque()  #: not yet in the ledger, or with the recorder
        self._doubtful: set[int] = set()  #: never called; whether the ledger says that they are about to be is not known
        self._resting: dict[str, int] = {}  #: applications, until when (monotonic clock)
        self._to_cancel: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self._looked_ns = 0
        self._ended_ns: int | None = None  #: the last one, since the ledger's log was emptied; monotonic clock
        self._next_due_ns: int | None = None
        self._stopping = threading.Event()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name="background", daemon=True)

    def start(self) -> None:
        """
        Start with what an earlier process has left.

        Raises:
            LedgerError: the ledger does not work.
        """
        self.know_apps()
        self._thread.start()

    def know_apps(self) -> None:
        """
        Write down which applications have their work done here.

        Raises:
            LedgerError: the ledger does not work.
        """
        background.know_apps(self._station.ledger, [app.name for app in self._apps()])
        self._resting = {}
        self.look()

    def look(self) -> None:
        """Look at the ledger soon: it has changed."""
        self._changed.set()
        self._wake.set()

    def cancel(self, number: int) -> None:
        """Cancel the run with this row number: a queued one never starts, even for another call; a running one has to stop."""
        self._to_cancel.put(number)
        self._wake.set()

    @property
    def running(self) -> int:
        """The number of runs that were called and have no outcome yet."""
        return len(self._running)

    def leave(self) -> None:
        """Start no further run: the next process does."""
        self._stopping.set()

    def stop(self, timeout_s: float) -> None:
        """Leave, and wait at most this long for what was called."""
        self.leave()
        self._wake.set()
        self._thread.join(timeout_s)
        self._abandoned.set()
        self._thread.join(_END_S)

    def _apps(self) -> Sequence[App]:
        """Return the applications with a name under `apps:`."""
        return [app for app in self._station.definitions.apps.values() if app.is_named]

    def _run(self) -> None:
        while not self._abandoned.is_set() and not (self._stopping.is_set() and not self._calls and not self._came):
            if self._wake.wait(_LOOK_S):
                self._abandoned.wait(_GATHER_S)
            self._wake.clear()
            try:
                self._pass()
            except LedgerError as error:
                log.error("the ledger does not work, background runs wait", error=error.message)
                self._abandoned.wait(_RETRY_S)
            except Exception:
                log.exception("background runs broke, trying again")
                self._let_go_of_what_is_lost()
                self._abandoned.wait(_RETRY_S)

    def _let_go_of_what_is_lost(self) -> None:
        """Forget runs that a bug has lost between the ledger and their runner: the next start calls them again."""
        for number in self._running.keys() - self._calls.owners() - {one.owner for one in self._came}:
            del self._running[number]

    def _pass(self) -> None:
        while not self._to_cancel.empty():
            self._cancel(self._to_cancel.get())
        self._came.extend(came := self._calls.came())
        while self._came:
            self._take_first()
        if progress := self._calls.progress():
            background.report(self._station.ledger, progress)
        if not self._stopping.is_set() and (came or self._is_time_to_look()):
            self._begin_what_waits()
        self._suspects.release_all_but(self._running)
        self._leave_no_trace()

    def _cancel(self, number: int) -> None:
        if number in self._running:
            self._cancelled.add(number)
            self._calls.stop(number)
            return
        try:
            runs.cancel(self._station.ledger, number, now_ns=self._station.clock.wall_ns())
        except LedgerError:
            self._to_cancel.put(number)
            raise
        self._ended_ns = self._station.clock.monotonic_ns()

    def _take_first(self) -> None:
        one = self._came.popleft()
        try:
            self._take(one)
        except LedgerError:
            self._came.appendleft(one)
            raise
        except Exception as error:
            if one.failed:
                raise
            log.exception("the end of a background run makes no sense", occurrence=str(self._running[one.owner].occurrence))
            words = f"how it ended cannot be taken: {type(error).__name__}"
            self._running[one.owner] = without_options(self._running[one.owner])
            self._came.appendleft(Came(owner=one.owner, executor=one.executor, failed=words))

    def _leave_no_trace(self) -> None:
        now_ns = self._station.clock.monotonic_ns()
        if self._ended_ns is not None and not self._running and now_ns - self._ended_ns > _QUIET_NS:
            self._station.gate.wait_open(own=None, deadline_ns=self._station.clock.wall_ns() + SECOND)
            self._ended_ns = None if upkeep.empty_log(self._station.ledger) else now_ns

    def _is_time_to_look(self) -> bool:
        now_ns = self._station.clock.monotonic_ns()
        is_due = self._next_due_ns is not None and self._station.clock.wall_ns() >= self._next_due_ns
        return self._changed.is_set() or is_due or now_ns - self._looked_ns > _LOOK_AGAIN_NS

    def _begin_what_waits(self) -> None:
        # Not around a T, of which every outcome is a change of the ledger.
        self._station.gate.wait_open(own=None, deadline_ns=self._station.clock.wall_ns() + SECOND)
        self._changed.clear()
        self._looked_ns = self._station.clock.monotonic_ns()
        ledger, now_ns, running = self._station.ledger, self._station.clock.wall_ns(), self._calls.running()
        if self._doubtful:
            background.put_back(ledger, list(self._doubtful))
            self._doubtful.clear()
        self._next_due_ns = background.next_due(ledger, after_ns=now_ns)
        for app in self._apps():
            room = app.background - running[RunnerKey(app.name)]
            is_resting = self._looked_ns < self._resting.get(app.name, 0)
            if room > 0 and not is_resting and (found := background.pending(ledger, app.name, now_ns=now_ns, limit=room)):
                self._begin(app, found)
            room = min(room - len(found), self._suspects.room(app.name)) if room > 0 and not is_resting else 0
            if room > 0:
                self._begin_suspects(app, background.pending(ledger, app.name, now_ns=now_ns, limit=room, suspects=True))

    def _begin_suspects(self, app: App, found: Sequence[Run]) -> None:
        for run in found:
            try:
                runner = self._suspects.runner(app.name, run.number)
            except (CannotRender, OSError) as error:
                self._rest(app.name, str(error))
                return
            self._begin(app, [run], runner)

    def _begin(self, app: App, found: Sequence[Run], runner: Supervisor | None = None) -> None:
        calls: dict[int, Call] = {}
        refused: dict[int, str] = {}
        for run in found:
            try:
                calls[run.number], refused[run.number] = _call_of(run), run.unreadable
            except Exception as error:  # noqa: BLE001  anybody may write a row; the others are called all the same
                refused[run.number] = f"what was handed over makes no sense: {type(error).__name__}: {error}"
        ledger, instance = self._station.ledger, self._station.instance
        try:
            begun = background.start(ledger, found, instance=instance, now_ns=self._station.clock.wall_ns())
        except LedgerError:
            self._doubtful.update(refused)
            raise
        self._running |= {
            run.number: without_options(run) if refused[run.number] else run for run in found if run.number in begun
        }
        self._came += [Came(owner=number, failed=refused[number]) for number in begun if refused[number]]
        calls = {number: call for number, call in calls.items() if number in begun and not refused[number]}
        self._calls.begin(RunnerKey(app.name), list(calls.values()), runner)

    def _take(self, came: Came) -> None:
        run, is_cancelled = self._running[came.owner], came.owner in self._cancelled
        if came.cannot and not is_cancelled:
            # Its application does not work at the moment. The run waits until it does.
            background.put_back(self._station.ledger, [run.number])
            self._rest(run.work.app, came.cannot)
        elif came.doubted and not is_cancelled:
            deaths = run.deaths.one_more(is_alone=came.is_alone)
            if deaths.alone < _MOST_DEATHS:
                background.suspect(self._station.ledger, run, deaths, None)
            else:
                self._end(run, replace(came, doubted="", failed=came.doubted), is_cancelled=False)
        else:
            self._end(run, came, is_cancelled=is_cancelled)
        del self._running[came.owner]
        self._cancelled.discard(came.owner)

    def _rest(self, app: str, why: str) -> None:
        now_ns = self._station.clock.monotonic_ns()
        if now_ns >= self._resting.get(app, 0):
            log.warning("background runs wait", app=app, reason=why)
        self._resting[app] = now_ns + _REST_NS

    def _end(self, run: Run, came: Came, *, is_cancelled: bool) -> None:
        now_ns = self._station.clock.wall_ns()
        earlier = history.attempts_of(self._station.ledger, run.occurrence) if run.attempt > 1 else []
        end = ended(
            run, came, earlier, now_ns=now_ns, is_cancelled=is_cancelled, history=self._station.definitions.daemon.history
        )
        deaths = run.deaths.one_more(is_alone=came.is_alone)
        if end.outcome is Outcome.UNKNOWN and deaths.alone < _MOST_DEATHS and run.attempt < MOST_CALLS:
            log.warning("background run is called again", occurrence=str(run.occurrence), reason=end.reason)
            background.suspect(self._station.ledger, run, deaths, end.attempts[-1])
            return
        if end.outcome is not Outcome.SUCCEEDED:
            log.warning(end.outcome.value, occurrence=str(run.occurrence), reason=end.reason)
        self._station.recorder.put(end)
        self._ended_ns = self._station.clock.monotonic_ns()


def without_options(run: Run) -> Run:
    """Return the run with nothing but its function, so that nothing in it can raise any more."""
    return replace(run, work=Work(app=run.work.app, ref=run.work.ref))


def _call_of(run: Run) -> Call:
    due = due_of(run)
    return Call(owner=run.number, due=due, work=partial(work_of, run, due), secrets=lambda _renderer: frozenset())
