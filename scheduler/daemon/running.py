"""Occurrences that are committed and have no outcome, by job: the overlap policy counts these."""

import threading
from collections import defaultdict

from scheduler.model.batch import Due
from scheduler.model.occurrence import OccurrenceId
from scheduler.policies.overlap import may_start


class Running:
    """Thread-safe: two batches that commit at the same moment see each other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_job: defaultdict[str, dict[OccurrenceId, Due]] = defaultdict(dict)

    def __len__(self) -> int:
        with self._lock:
            return sum(len(ids) for ids in self._by_job.values())

    def admit(self, due: Due) -> Due | None:
        """
        Count an occurrence as running, if its job's overlap policy allows it.

        Returns:
            An occurrence that is in its way; None if it may start.
        """
        with self._lock:
            running = self._by_job[due.job.name]
            others = [other for identity, other in running.items() if identity != due.id]
            if may_start(running=len(others), max_instances=due.job.max_instances, policy=due.job.overlap):
                running[due.id] = due
                return None
            return others[0]

    def end(self, identity: OccurrenceId) -> None:
        """Count an occurrence no longer: it has its outcome, or does not start."""
        with self._lock:
            running = self._by_job[identity.job]
            running.pop(identity, None)
            if not running:
                del self._by_job[identity.job]
