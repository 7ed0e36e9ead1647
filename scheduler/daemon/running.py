"""What is let go and has no outcome yet, job by job: overlap is decided by it."""

import threading
from collections import defaultdict
from collections.abc import Sequence

from scheduler.model.batch import Due
from scheduler.model.occurrence import OccurrenceId
from scheduler.policies.overlap import may_start


class Running:
    """Thread-safe: two batches that commit at the same moment see each other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_job: defaultdict[str, dict[OccurrenceId, None]] = defaultdict(dict)

    def __len__(self) -> int:
        with self._lock:
            return sum(len(ids) for ids in self._by_job.values())

    def admit(self, dues: Sequence[Due]) -> dict[OccurrenceId, OccurrenceId]:
        """
        Let these start, as far as their jobs' overlap policies allow.

        Returns:
            Who may not, each with the one that is in its way.
        """
        refused: dict[OccurrenceId, OccurrenceId] = {}
        with self._lock:
            for due in dues:
                running = self._by_job[due.job.name]
                if may_start(running=len(running), max_instances=due.job.max_instances, policy=due.job.overlap):
                    running[due.id] = None
                else:
                    refused[due.id] = next(iter(running))
        return refused

    def end(self, identity: OccurrenceId) -> None:
        """It has its outcome, or was not let go after all."""
        with self._lock:
            running = self._by_job[identity.job]
            running.pop(identity, None)
            if not running:
                del self._by_job[identity.job]
