"""
The backlog: occurrences that wait for room, and not for a T. Each starts as soon as its job has room, in the
order of the fire times.
"""

import threading
from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush

from tminus.daemon.batches.admission import cancelled_by
from tminus.daemon.batches.overdue_occurrences import missed
from tminus.daemon.runtime import Runtime
from tminus.daemon.service_thread import ServiceThread
from tminus.instants import MS
from tminus.ledger import claims
from tminus.model.batch import DueOccurrence
from tminus.model.definitions import Definitions
from tminus.model.occurrence import OccurrenceId
from tminus.policies.overlap import room
from tminus.schedule.times_of_day import last_start_ns

#: Catch-ups that run at once, so that a long stop does not end in a flood of them.
MOST_AT_ONCE = 50
#: From the choice of catch-ups to their T: enough to claim and arm them.
_LEAD_NS = 250 * MS
#: Rows per transaction, so that no transaction delays a claim.
_CHUNK = 500
_PAUSE_S = 0.2
_LOOK_S = 1.0


class Backlog:
    """
    Occurrences that wait for room. Thread-safe.

    Args:
        on_due: Takes occurrences that are in the ledger and start now.
    """

    def __init__(self, runtime: Runtime, *, on_due: Callable[[Sequence[DueOccurrence]], None]) -> None:
        self._runtime = runtime
        self._on_due = on_due
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._unwritten: list[DueOccurrence] = []
        #: What waits, by job, in the order of the fire times.
        self._waiting: defaultdict[str, list[DueOccurrence]] = defaultdict(list)
        self._launched: dict[OccurrenceId, DueOccurrence] = {}
        self._thread = ServiceThread("backlog", self._work, pause_s=_PAUSE_S)

    def __len__(self) -> int:
        with self._lock:
            return len(self._unwritten) + sum(map(len, self._waiting.values()))

    def start(self) -> None:
        """Begin to launch what waits."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Launch nothing more: what waits is left for the next start."""
        self._thread.stopping.set()
        self._changed.set()
        self._thread.stop(timeout_s)

    def add(self, due_occurrences: Iterable[DueOccurrence]) -> None:
        """Let occurrences wait that have no row yet, or one of an earlier process."""
        with self._lock:
            self._unwritten += due_occurrences
        self._changed.set()

    def hold(self, due_occurrences: Iterable[DueOccurrence]) -> None:
        """Let occurrences wait that a commit has held back; their rows are queued."""
        with self._lock:
            for due in due_occurrences:
                self._launched.pop(due.id, None)
                # The row exists. Without this flag, the claim would try to insert it and take it for another
                # process's.
                self._insert(replace(due, is_written=True))
        self._changed.set()

    def take_out(self, identity: OccurrenceId) -> DueOccurrence | None:
        """Take out an occurrence that waits; return it, or None if it does not wait here."""
        with self._lock:
            for some in (self._unwritten, self._waiting.get(identity.job, [])):
                for due in [one for one in some if one.id == identity]:
                    some.remove(due)
                    if not self._waiting.get(identity.job):
                        self._waiting.pop(identity.job, None)
                    return due
        return None

    def end(self, identity: OccurrenceId) -> None:
        """Note that an occurrence is over: there may be room for another one."""
        # A look without the lock, because this is called for each occurrence that ends.
        if identity in self._launched or identity.job in self._waiting:
            with self._lock:
                self._launched.pop(identity, None)
            self._changed.set()

    def _work(self) -> None:
        while not self._thread.stopping.is_set():
            self._changed.clear()
            self._write()
            if taken := self._take():
                self._begin(taken)
            self._changed.wait(_LOOK_S)

    def _write(self) -> None:
        """Write what is new as queued; from then on it survives the end of this process."""
        while self._unwritten and not self._thread.stopping.is_set():
            some = self._unwritten[:_CHUNK]
            claims.put_off(self._runtime.ledger, some)
            self._runtime.recorder.undecided.discard(due.id for due in some)
            written = {due.id for due in some}
            with self._lock:
                waiting = [due for due in self._unwritten if due.id in written]  # not taken out meanwhile
                self._unwritten = [due for due in self._unwritten if due.id not in written]
                for due in waiting:
                    self._insert(replace(due, is_written=True))

    def _insert(self, due: DueOccurrence) -> None:
        insort(self._waiting[due.id.job], due, key=lambda one: one.id)

    def _take(self) -> list[DueOccurrence]:
        """Take out what starts now, in the order of the fire times."""
        most = min(self._runtime.definitions.daemon.max_connections or MOST_AT_ONCE, MOST_AT_ONCE)
        # T is the lead from now. If the wall clock was set back, a fire time may be later: that one waits on.
        until_ns = self._runtime.clock.wall_ns() + _LEAD_NS
        taken: list[DueOccurrence] = []
        with self._lock:
            left = most - sum(due.origin.is_of_past_fire_time for due in self._launched.values())
            rooms = {name: self._room(name) for name in self._waiting}
            heads = [(some[0].id.fire_time_ns, name) for name, some in self._waiting.items() if rooms[name]]
            heapify(heads)
            while heads:
                at_ns, name = heappop(heads)
                if at_ns > until_ns:
                    break
                waiting = self._waiting[name]
                if waiting[0].origin.is_of_past_fire_time:
                    if left <= 0:
                        continue
                    left -= 1
                taken.append(due := waiting.pop(0))
                self._launched[due.id] = due
                rooms[name] -= 1
                if not waiting:
                    del self._waiting[name]
                elif rooms[name]:
                    heappush(heads, (waiting[0].id.fire_time_ns, name))
        return taken

    def _room(self, name: str) -> int:
        """Return how many more occurrences of a job may start."""
        job = self._waiting[name][0].job
        launched = {identity for identity in self._launched if identity.job == name}
        occupied = len(launched | self._runtime.in_flight.ids(name))
        return room(occupied, max_instances=job.max_instances, policy=job.overlap)

    def _begin(self, taken: Sequence[DueOccurrence]) -> None:
        """Launch these by the definitions in force. If that fails, they wait again."""
        definitions, t_ns = self._runtime.definitions, self._runtime.clock.wall_ns() + _LEAD_NS
        left = {due.id: due for due in taken}
        try:
            launched: list[DueOccurrence] = []
            for due in taken:
                result = cancelled_by(definitions, due)
                if result is None:
                    due = _renewed(due, definitions, t_ns)
                    if due.latest_start_ns < t_ns:
                        result = missed(due)
                if result is None:
                    launched.append(due)
                else:
                    self._runtime.recorder.put(result)
                    self._runtime.in_flight.end(due.id)
                    del left[due.id]
            claims.renew(self._runtime.ledger, [due.id for due in launched], version=definitions.version)
            self._on_due(launched)
        except Exception:
            self.hold(left.values())
            raise


def _renewed(due: DueOccurrence, definitions: Definitions, t_ns: int) -> DueOccurrence:
    """
    Return an occurrence by the definitions in force, as it starts at this T. For a catch-up or a backfill,
    this T is also the planned start.
    """
    job = definitions.jobs[due.id.job]
    return replace(
        due,
        job=job,
        config_version=definitions.version,
        room_at_ns=t_ns,
        planned_at_ns=t_ns if due.origin.is_of_past_fire_time else due.planned_at_ns,
        not_after_ns=last_start_ns(job, due.id.fire_time_ns, origin=due.origin),
    )
