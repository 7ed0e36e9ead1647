"""Runs the shards of a runner: a thread for each job, one Barrier for each shard; shards may overlap in time."""

import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from scheduler.clock import Clock
from scheduler.executors.python import output, wire
from scheduler.executors.python.board import Board
from scheduler.executors.python.job import Job
from scheduler.executors.python.loading import Loader
from scheduler.executors.python.wire import Finished
from scheduler.instants import LATEST_NS, MS, SECOND
from scheduler.outcome import Cause
from scheduler.release.gate import Gate
from scheduler.release.latch import Latch
from scheduler.release.party import Party
from scheduler.release.shard import ShardRun

if TYPE_CHECKING:
    from flask import Flask

#: Between two looks for timeouts, and for progress.
_LOOK_NS = 50 * MS
#: After the time to arm, for threads on their way to the barrier.
_TO_ARRIVE_NS = 20 * MS
#: Grace period after a stop request. If a job is still running afterwards, its runner is replaced.
_TO_STOP_NS = 5 * SECOND
#: So many jobs in a row could not be prepared, though others could before: what they need of this process is broken or used up.
_MOST_UNPREPARED = 3
#: After a look that broke.
_AGAIN_S = 1.0


class _Shard:
    """One shard, and which of its jobs have no report yet (`owed`)."""

    def __init__(self, number: int, jobs: dict[int, Job], deadline_ns: int) -> None:
        self.number = number
        self.deadline_ns = deadline_ns
        self.is_armed = False
        self.without_thread: Sequence[Party] = ()
        self.jobs = jobs
        self.lock = threading.Lock()
        self.owed = set(jobs)
        self.run: ShardRun


class Executor:
    """
    `obey` belongs to the thread that reads the commands.

    Args:
        app: None for functions that need none.
        report: Takes reports, from any thread.
        spent: Called when only threads are left that do not stop though they were told to: this process has to end, after what
            is reported already is written. It may be called more than once.
    """

    def __init__(
        self,
        app: "Flask | None",
        *,
        board: Board,
        clock: Clock,
        report: Callable[[wire.Report], None],
        spent: Callable[[], None],
    ) -> None:
        self.gate = Gate(clock)
        self._app = app
        self._board = board
        self._clock = clock
        self._report = report
        self._spent = spent
        self._lock = threading.Lock()
        self._shards: dict[int, _Shard] = {}
        self._told: dict[Job, tuple[int, int]] = {}  #: to stop: when, and of which shard
        self._is_worn = False
        self._unprepared = float("-inf")  #: in a row; from 0 on once one could be prepared
        self._progress: dict[tuple[int, int], wire.Progress] = {}  #: by shard and index; not reported yet
        self._loader = Loader()
        threading.Thread(target=self._watch, name="timeouts", daemon=True).start()

    def obey(self, command: wire.Command) -> None:
        """Obey a command of the daemon; return at once. After an error, the jobs of its shard fail, and none is started."""
        try:
            self._obey(command)
        except Exception as error:  # noqa: BLE001  other shards have nothing to do with it
            traceback.print_exc()
            self._wear_out()
            if isinstance(command, wire.Arm | wire.Release):
                self._break_off(command, error)

    def _break_off(self, command: wire.Arm | wire.Release, error: Exception) -> None:
        number, owed = command.shard, [work.index for work in command.works] if isinstance(command, wire.Arm) else []
        with self._lock:
            shard = self._shards.pop(number, None)
        if shard is not None:
            shard.run.hold.withdraw()
            with shard.lock:
                owed, shard.owed = list(shard.owed), set()
        self.gate.release(number)
        self._report(wire.Results(shard=number, finished=[_broken(index, error, self._clock.wall_ns()) for index in owed]))
        self._report(wire.Ended(shard=number, released=False))

    def _obey(self, command: wire.Command) -> None:
        match command:
            case wire.Arm():
                self._arm(command)
            case wire.Release():
                self._permit(command)
            case wire.Withdraw():
                if shard := self._shards.get(command.shard):
                    shard.run.hold.withdraw()
                    for _ in shard.without_thread:
                        shard.run.done()
            case wire.Stop():
                if (shard := self._shards.get(command.shard)) and command.index in shard.owed:
                    shard.jobs[command.index].cancel()

    def _arm(self, command: wire.Arm) -> None:
        began_ns = self._clock.monotonic_ns()
        number = command.shard
        all_out = Latch()
        turn = threading.Lock() if command.one_by_one else None
        jobs = {
            work.index: Job(
                work,
                self._app,
                slot=command.slots + work.index,
                board=self._board,
                clock=self._clock,
                gate=self.gate,
                loader=self._loader,
                shard=number,
                turn=turn,
                all_out=all_out,
                report=lambda finished: self._take(shard, finished),
                progress=partial(self._note_progress, number, work.index),
            )
            for work in command.works
        }
        shard = _Shard(number, jobs, command.deadline_ns)
        for index in jobs:
            self._board.mark(command.slots + index, 0)

        def armed() -> None:
            shard.is_armed = True
            took_ns = self._clock.monotonic_ns() - began_ns
            self._report(wire.Armed(shard=number, armed=sum(job.is_armed for job in jobs.values()), took_ns=took_ns))

        def out() -> None:
            all_out.open()
            self.gate.release(number)

        def ended() -> None:
            self._leave(jobs.values())
            self._end(shard, released=shard.run.hold.released_at_ns is not None)

        shard.run = ShardRun(
            t_ns=command.t_ns,
            deadline_ns=command.deadline_ns,
            give_up_ns=command.give_up_ns,
            parties=list(jobs.values()),
            clock=self._clock,
            on_armed=armed,
            on_out=out,
            on_ended=ended,
            realtime=command.realtime,
            spins=command.realtime,  # without it the lanes want the core on which this would spin
        )
        with self._lock:
            self._shards[number] = shard
        if command.t_ns > self._clock.wall_ns():  # what is not on time anyway need not hold up others that get ready
            self.gate.shut_around(number, command.t_ns)
        shard.without_thread = shard.run.start()
        if len(shard.without_thread) == len(jobs):  # a job may have left threads behind that take all there are
            self._wear_out()

    def _note_progress(self, shard: int, index: int, part: float, text: str) -> None:
        # Not one report each: a job that calls this in every turn of a loop would delay all other reports.
        with self._lock:
            self._progress[shard, index] = wire.Progress(shard=shard, index=index, part=part, text=text)

    def _report_progress(self) -> None:
        with self._lock:  # until it is reported: there is no progress after a result
            for progress in self._progress.values():
                self._report(progress)
            self._progress.clear()

    def _permit(self, command: wire.Release) -> None:
        if shard := self._shards.get(command.shard):
            for index in command.withdrawn:
                shard.jobs[index].withdrawn = True
            with shard.lock:
                shard.owed.difference_update(command.withdrawn)
            for job in shard.jobs.values():
                if job in shard.without_thread:
                    job.no_thread()
                    shard.run.done()
            shard.run.hold.permit()

    def _take(self, shard: _Shard, finished: Finished) -> None:
        """Report the first result of a job; one that was written off may end later."""
        output.restore()
        with self._lock:
            if finished.started_ns:
                self._unprepared = 0
            elif finished.cause == Cause.EXCEPTION:
                self._unprepared += 1
        if self._unprepared >= _MOST_UNPREPARED:
            self._wear_out()
        with shard.lock:
            if finished.index not in shard.owed:
                return
            shard.owed.discard(finished.index)
            self._report_progress()
            is_last = not shard.owed
            # Under the lock, so that `Ended` follows the last result.
            self._report(wire.Results(shard=shard.number, finished=[finished]))
        if is_last:
            self._end(shard, released=True)

    def _end(self, shard: _Shard, *, released: bool) -> None:
        """Report the end of a shard, once: all its results are reported, or all its threads are done."""
        with self._lock:
            if self._shards.pop(shard.number, None) is None:
                return
        self._report(wire.Ended(shard=shard.number, released=released))

    def _next_look_ns(self) -> int:
        """Return the time until the next look, which is no later than the moment by which a shard has to be armed."""
        with self._lock:
            deadlines = [shard.deadline_ns for shard in self._shards.values() if not shard.is_armed]
        left_ns = min(deadlines, default=LATEST_NS) + _TO_ARRIVE_NS - self._clock.wall_ns()
        return min(max(left_ns, MS), _LOOK_NS)

    def _watch(self) -> None:
        never = threading.Event()
        while True:
            try:
                never.wait(self._next_look_ns() / SECOND)
                self._look()
            except Exception:  # noqa: BLE001  without this thread no job times out, whatever a job does to this process
                traceback.print_exc()
                self._wear_out()
                never.wait(_AGAIN_S)

    def _look(self) -> None:
        self._report_progress()
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            shards = list(self._shards.values())
        for shard in shards:
            if not shard.is_armed and self._clock.wall_ns() > shard.deadline_ns + _TO_ARRIVE_NS:
                shard.run.stand_in()  # one whose contexts hang holds up no other
        with self._lock:
            jobs = [(shard, job) for shard in self._shards.values() for job in shard.jobs.values()]
        for shard, job in jobs:
            is_waiting = shard.run.hold.released_at_ns is not None and not job.has_begun
            is_late = job.work.index in shard.owed and is_waiting and self._clock.wall_ns() > job.work.latest_ns
            if is_late and job.write_off_late():
                with self._lock:
                    self._told[job] = now_ns, shard.number  # it may never come back
            if job.work.index in shard.owed and job.ends_at_ns is not None and now_ns > job.ends_at_ns:
                with self._lock:
                    self._told[job] = now_ns, shard.number
                job.tell_to_stop()
        with self._lock:
            ended = [job for job in self._told if not job.is_alive]
        self._leave(ended)
        with self._lock:
            stuck = [now_ns - at > _TO_STOP_NS for at, _ in self._told.values()]
            if stuck and all(stuck) and not self._shards:
                self._spent()
        if any(stuck):
            self._wear_out()

    def _wear_out(self) -> None:
        """Leave further work to a fresh runner: threads do not end here, or a job may have broken what all of them share."""
        if not self._is_worn:
            self._is_worn = True
            self._report(wire.Spent())

    def _leave(self, jobs: Iterable[Job]) -> None:
        """Report which of these were told to stop: their threads have ended, or are about to."""
        with self._lock:
            left = [(job, told[1]) for job in jobs if (told := self._told.pop(job, None))]
        for job, shard in left:
            self._report(wire.Left(shard=shard, index=job.work.index))


def _broken(index: int, error: Exception, now_ns: int) -> Finished:
    detail = f"an error in tminus ended it: {type(error).__name__}"
    return Finished(
        index=index, started_ns=0, finished_ns=now_ns, duration_ns=0, armed=False, cause=Cause.EXECUTOR, detail=detail
    )
