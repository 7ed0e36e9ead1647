"""Jobs that were asked to stop, until their threads have ended."""

import threading
from collections.abc import Callable, Iterable

from tminus.executors.protocol import Left
from tminus.executors.python.job_run import JobRun
from tminus.instants import SECOND

#: Grace period after a stop request. If a job is still running afterwards, its runner is replaced.
_GRACE_NS = 5 * SECOND


class StoppingJobs:
    """
    The jobs of a runner that were asked to stop. Thread-safe.

    Args:
        report: Takes `Left`.
    """

    def __init__(self, report: Callable[[Left], None]) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._jobs: dict[JobRun, tuple[int, Left | None]] = {}  #: when each was asked, and its report

    def add(self, job: JobRun, now_ns: int, left: Left | None = None) -> None:
        """
        Add a job that is asked to stop now.

        Args:
            now_ns: Monotonic clock.
            left: Reported when the job's thread has ended; None for a call.
        """
        with self._lock:
            self._jobs[job] = now_ns, left

    def remove(self, jobs: Iterable[JobRun]) -> None:
        """Remove those of these jobs that were added: their threads have ended, or are about to end."""
        with self._lock:
            removed = [self._jobs.pop(job, (0, None)) for job in jobs]
        for _, left in removed:
            if left is not None:
                self._report(left)

    def remove_ended(self) -> None:
        """Remove the jobs whose threads have ended."""
        with self._lock:
            ended = [job for job in self._jobs if job.is_over]
        self.remove(ended)

    def are_stuck(self, now_ns: int) -> list[bool]:
        """Return for each job whether its grace period is over (monotonic clock)."""
        with self._lock:
            return [now_ns - asked_ns > _GRACE_NS for asked_ns, _ in self._jobs.values()]
