"""
Runs the shards and the calls of a runner. Each job has a thread, and each shard has a Barrier. Shards and
calls may overlap in time.
"""

import threading
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from tminus.executors.protocol import (
    Arm,
    Armed,
    AttemptResult,
    AttemptResults,
    Call,
    Cancel,
    Left,
    Progress,
    Release,
    Returned,
    RunnerReport,
    ShardEnded,
    Spent,
    Stop,
    Withdraw,
)
from tminus.executors.python import output, wire
from tminus.executors.python.job_party import JobParty
from tminus.executors.python.job_run import JobRun
from tminus.executors.python.runner_services import RunnerServices
from tminus.executors.python.start_table import ACCEPTED
from tminus.executors.python.stopping_jobs import StoppingJobs
from tminus.executors.python.wear import Wear
from tminus.executors.python.wire import Work
from tminus.instants import LATEST_NS, MS, SECOND
from tminus.outcome import Cause
from tminus.policies.misfire import is_misfire
from tminus.release.gate import Gate
from tminus.release.latch import Latch
from tminus.release.shard import ShardRun

if TYPE_CHECKING:
    from tminus.release.party import Party

#: Time between two checks of timeouts and progress.
_CHECK_NS = 50 * MS
#: Added to the deadline of a shard, for threads on their way to the barrier.
_ARRIVE_NS = 20 * MS
#: Pause after a check that has raised.
_RETRY_NS = SECOND


class _Shard:
    """
    One shard.

    Attributes:
        without_thread: The parties for which no thread could be started.
        unreported: The indexes of the jobs without a result; `lock` guards them.
    """

    def __init__(self, number: int, jobs: dict[int, JobParty], deadline_ns: int) -> None:
        self.number = number
        self.deadline_ns = deadline_ns
        self.is_armed = False
        self.without_thread: Sequence[Party] = ()
        self.jobs = jobs
        self.lock = threading.Lock()
        self.unreported = set(jobs)
        self.run: ShardRun

    @property
    def is_released(self) -> bool:
        """Whether its jobs were released."""
        return self.run.hold.released_at_ns is not None


class Executor:
    """
    The threads of this runner's jobs. `handle_command` belongs to the thread that reads the commands.

    Args:
        report: Takes reports, from any thread.
        spent: Called when only threads are left that were asked to stop and do not. Then this process has to
            end, after it has written its reports. May be called more than once.
    """

    def __init__(
        self,
        services: RunnerServices,
        *,
        report: Callable[[RunnerReport], None],
        spent: Callable[[], None],
    ) -> None:
        self.gate = Gate(services.clock)
        self._services = services
        self._clock = services.clock
        self._report = report
        self._spent = spent
        self._lock = threading.Lock()
        self._shards: dict[int, _Shard] = {}
        self._calls: dict[int, JobRun] = {}  #: that have not returned
        self._stopping = StoppingJobs(report)
        self._wear = Wear(lambda: report(Spent()))
        self._progress: dict[int, Progress] = {}  #: of calls; not reported yet
        threading.Thread(target=self._watch_times, name="timeouts", daemon=True).start()

    def handle_command(self, command: wire.Command) -> None:
        """
        Execute a command of the daemon; return at once. After an error, the jobs of its shard fail, and none
        is started.
        """
        try:
            self._handle(command)
        except Exception as error:  # noqa: BLE001  other shards have nothing to do with it
            traceback.print_exc()
            self._wear.wear_out()
            if isinstance(command, Arm | Release):
                self._break_off(command, error)
            elif isinstance(command, Call):
                self._report_returned(command.call, _failed(command.work.index, error, self._clock.wall_ns()))

    def _break_off(self, command: Arm[Work] | Release, error: Exception) -> None:
        number = command.shard
        unreported = [work.index for work in command.works] if isinstance(command, Arm) else []
        with self._lock:
            shard = self._shards.pop(number, None)
        if shard is not None:
            shard.run.hold.withdraw()
            with shard.lock:
                unreported, shard.unreported = list(shard.unreported), set()
        self.gate.release(number)
        self._report(
            AttemptResults(
                shard=number, finished=[_failed(index, error, self._clock.wall_ns()) for index in unreported]
            )
        )
        self._report(ShardEnded(shard=number, released=False))

    def _handle(self, command: wire.Command) -> None:
        match command:
            case Arm():
                self._arm(command)
            case Release():
                self._permit(command)
            case Withdraw():
                if shard := self._shards.get(command.shard):
                    shard.run.hold.withdraw()
                    for _ in shard.without_thread:
                        shard.run.report_ended()
            case Cancel():
                shard = self._shards.get(command.shard)
                if shard and (party := shard.jobs.get(command.index)):
                    party.job.cancel()
            case Call():
                self._call(command)
            case Stop():
                if (job := self._calls.get(command.call)) and not job.cancel():
                    self._stopping.add(job, self._clock.monotonic_ns())

    def _arm(self, command: Arm[Work]) -> None:
        began_ns = self._clock.monotonic_ns()
        number = command.shard
        all_out = Latch()
        turn = threading.Lock() if command.one_by_one else None
        jobs = {
            work.index: JobParty(
                JobRun(
                    work,
                    self._services,
                    slot=command.slots + work.index,
                    report=lambda finished: self._report_result(shard, finished),
                    all_out=all_out,
                ),
                clock=self._clock,
                gate=self.gate,
                shard=number,
                turn=turn,
            )
            for work in command.works
        }
        shard = _Shard(number, jobs, command.deadline_ns)
        for index in jobs:
            self._services.start_table.mark(command.slots + index, 0)

        def armed() -> None:
            shard.is_armed = True
            took_ns = self._clock.monotonic_ns() - began_ns
            self._report(
                Armed(shard=number, armed=sum(party.job.is_armed for party in jobs.values()), took_ns=took_ns)
            )

        def out() -> None:
            all_out.open()
            self.gate.release(number)

        def ended() -> None:
            self._stopping.remove(party.job for party in jobs.values())
            self._report_end(shard, released=shard.is_released)

        shard.run = ShardRun(
            release_at_ns=command.release_at_ns,
            deadline_ns=command.deadline_ns,
            give_up_ns=command.give_up_ns,
            parties=list(jobs.values()),
            clock=self._clock,
            on_armed=armed,
            on_out=out,
            on_ended=ended,
            realtime=command.realtime,
            spins=command.realtime,  # otherwise the lanes want the core on which the hold would spin
        )
        self._start(shard, command.release_at_ns)

    def _start(self, shard: _Shard, release_at_ns: int) -> None:
        with self._lock:
            self._shards[shard.number] = shard
        # A shard that is late anyway need not keep others from arming.
        if release_at_ns > self._clock.wall_ns():
            self.gate.shut_around(shard.number, release_at_ns)
        shard.without_thread = shard.run.start()
        # Perhaps jobs have left threads behind, and no more are allowed.
        if len(shard.without_thread) == len(shard.jobs):
            self._wear.wear_out()

    def _call(self, command: Call[Work]) -> None:
        number = command.call
        job = JobRun(
            command.work,
            self._services,
            slot=command.slot,
            report=partial(self._report_returned, number),
            progress=partial(self._note_progress, number),
        )
        self._services.start_table.mark(command.slot, ACCEPTED)
        with self._lock:
            self._calls[number] = job
        try:
            threading.Thread(target=job.call, name=f"call {command.work.occurrence}", daemon=True).start()
        except RuntimeError:
            # Can't start new thread: perhaps jobs have left threads behind, and no more are allowed.
            job.no_thread()
            self._wear.wear_out()

    def _report_returned(self, call: int, finished: AttemptResult) -> None:
        """Report the first result of a call."""
        output.restore()
        self._wear.note(finished)
        self._report_progress()
        with self._lock:
            is_known = self._calls.pop(call, None) is not None
        if is_known:
            self._report(Returned(call=call, result=finished))

    def _note_progress(self, call: int, fraction: float, text: str) -> None:
        # Not one report per call: a job that calls this in a loop would delay all other reports.
        with self._lock:
            if call in self._calls:
                self._progress[call] = Progress(call=call, fraction=fraction, text=text)

    def _report_progress(self) -> None:
        with self._lock:  # so that no progress follows a result
            for progress in self._progress.values():
                self._report(progress)
            self._progress.clear()

    def _permit(self, command: Release) -> None:
        if shard := self._shards.get(command.shard):
            for index in command.withdrawn:
                shard.jobs[index].withdrawn = True
            with shard.lock:
                shard.unreported.difference_update(command.withdrawn)
            for party in shard.jobs.values():
                if party in shard.without_thread:
                    party.job.no_thread()
                    shard.run.report_ended()
            shard.run.hold.permit()

    def _report_result(self, shard: _Shard, finished: AttemptResult) -> None:
        """Report the first result of a job of a shard. A job that was written off may end later."""
        output.restore()
        self._wear.note(finished)
        with shard.lock:
            if finished.index not in shard.unreported:
                return
            shard.unreported.discard(finished.index)
            is_last = not shard.unreported
            # Under the lock, so that `ShardEnded` follows the last result.
            self._report(AttemptResults(shard=shard.number, finished=[finished]))
        if is_last:
            self._report_end(shard, released=True)

    def _report_end(self, shard: _Shard, *, released: bool) -> None:
        """Report the end of a shard, once, when all results are reported or all threads are done."""
        with self._lock:
            if self._shards.pop(shard.number, None) is None:
                return
        self._report(ShardEnded(shard=shard.number, released=released))

    def _until_next_check_ns(self) -> int:
        """Return the time until the next check: `_CHECK_NS`, or less if a shard's deadline comes first."""
        with self._lock:
            deadlines = [shard.deadline_ns for shard in self._shards.values() if not shard.is_armed]
        left_ns = min(deadlines, default=LATEST_NS) + _ARRIVE_NS - self._clock.wall_ns()
        return min(max(left_ns, MS), _CHECK_NS)

    def _watch_times(self) -> None:
        while True:
            try:
                self._clock.pause(self._until_next_check_ns())
                self._check_times()
            except Exception:  # noqa: BLE001  without this thread no job would time out
                traceback.print_exc()
                self._wear.wear_out()
                self._clock.pause(_RETRY_NS)

    def _check_times(self) -> None:
        self._report_progress()
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            shards = list(self._shards.values())
        for shard in shards:
            if not shard.is_armed and self._clock.wall_ns() > shard.deadline_ns + _ARRIVE_NS:
                shard.run.stand_in()  # a job whose contexts hang delays no other
        with self._lock:
            jobs = [
                (party.job, Left(shard=shard.number, index=index))
                for shard in self._shards.values()
                if shard.is_released
                for index, party in shard.jobs.items()
                if index in shard.unreported
            ]
            calls = [(job, None) for job in self._calls.values()]
        errors: list[Exception] = []
        for job, left in (*jobs, *calls):
            try:
                self._write_off_if_over(job, left, now_ns)
            except Exception as error:  # noqa: BLE001  the others have their timeouts all the same
                errors.append(error)
        self._stopping.remove_ended()
        stuck = self._stopping.are_stuck(now_ns)
        with self._lock:
            is_idle = not self._shards and not self._calls
        if is_idle and stuck and all(stuck):
            self._spent()
        if any(stuck):
            self._wear.wear_out()
        if errors:
            raise ExceptionGroup("jobs whose time cannot be checked", errors)

    def _write_off_if_over(self, job: JobRun, left: Left | None, now_ns: int) -> None:
        """Write off a job that was released, if it is too late or its time is over. It may never return."""
        is_past = is_misfire(now_ns=self._clock.wall_ns(), latest_start_ns=job.work.latest_ns)
        is_late = is_past and not job.has_begun and job.give_up()
        is_over = job.ends_at_ns is not None and now_ns > job.ends_at_ns
        if is_late or is_over:
            self._stopping.add(job, now_ns, left)
        if is_over:
            job.request_stop()


def _failed(index: int, error: Exception, now_ns: int) -> AttemptResult:
    detail = f"an error in tminus ended it: {type(error).__name__}"
    return AttemptResult(index=index, finished_ns=now_ns, cause=Cause.EXECUTOR, detail=detail)
