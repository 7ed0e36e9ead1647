"""The thread of a Python job of a shard: prepared before T, entered at T."""

import contextlib
from contextlib import AbstractContextManager

from tminus.clock import Clock
from tminus.executors.python.job_run import JobRun
from tminus.instants import SECOND
from tminus.policies.misfire import is_misfire
from tminus.release.gate import Gate
from tminus.release.party import Party


class JobParty(Party):
    """
    The party of one job.

    Args:
        job: The run of the job.
        turn: A lock, held while the job is being prepared before T; None if others may be prepared meanwhile.
    """

    def __init__(
        self,
        job: JobRun,
        *,
        clock: Clock,
        gate: Gate,
        shard: int,
        turn: AbstractContextManager[object] | None = None,
    ) -> None:
        super().__init__(f"job {job.work.occurrence}")
        self.job = job
        self.withdrawn = False
        self._clock = clock
        self._gate = gate
        self._shard = shard
        self._turn = turn or contextlib.nullcontext()
        self._may_start = False

    def arm(self, deadline_ns: int) -> None:
        self.job.begin_thread()
        if self._gate.wait_open(own=self._shard, deadline_ns=deadline_ns):
            # An exception, even of sys.exit(), is raised again at T: arming never decides whether a job runs.
            with contextlib.suppress(BaseException), self._turn:
                self.job.prepare(max(deadline_ns - self._clock.wall_ns(), 0) / SECOND)
                self.job.rest()

    def recheck(self) -> None:
        """Do nothing, because a prepared job stays as it is."""

    def release(self, released_at_ns: int) -> None:
        self.job.note_release(released_at_ns)
        is_late = is_misfire(now_ns=released_at_ns, latest_start_ns=self.job.work.latest_ns)
        self._may_start = not self.withdrawn and not is_late

    def drain(self) -> None:
        if self._may_start:
            self.job.run()
        else:
            self.stand_down()
            if not self.withdrawn:
                self.job.finish_late()
        self.job.is_over = True

    def stand_down(self) -> None:
        self.job.stand_down()

    def report_failure(self, error: BaseException) -> None:
        self.job.report_failure(error)
        self.job.is_over = True
