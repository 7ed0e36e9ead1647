"""Watch: the batch that is next, and how far it is. Reads only, and not around T."""

from collections import Counter
from dataclasses import dataclass

from tminus.errors import NotFound
from tminus.instants import MS, SECOND, rfc3339
from tminus.ledger import history, skips
from tminus.ledger.changes import change_counter
from tminus.ledger.engine import Ledger
from tminus.model.batch import BatchCounts
from tminus.model.definitions import Definitions
from tminus.operations.next_times import next_start

#: Nothing is read from this long before T until this long after T: a read takes a core from the lanes.
_QUIET_BEFORE_NS, _QUIET_AFTER_NS = 100 * MS, 200 * MS
#: Time between two reads of a ledger that has no change counter.
_READ_NS = SECOND // 2
#: An occurrence that is not started gets its row at most this long after T.
_ROWS_NS = 2 * SECOND
#: A batch without a row this long after T does not exist: its jobs were changed meanwhile.
_GONE_NS = 15 * SECOND


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """A batch that is to come, or has been: its T, and how many jobs are due then."""

    planned_at_ns: int
    jobs: int

    def is_quiet(self, now_ns: int) -> bool:
        """Return whether T is so near that nothing should be read."""
        return -_QUIET_BEFORE_NS < now_ns - self.planned_at_ns < _QUIET_AFTER_NS

    def has_ended(self, counts: BatchCounts, now_ns: int) -> bool:
        """Return whether each occurrence has ended, or waits for a further attempt, or there are none."""
        if counts.ended < counts.written or now_ns < self.planned_at_ns:
            return False
        last_row_ns = self.planned_at_ns + (_ROWS_NS if counts.written else _GONE_NS)
        return counts.written >= max(self.jobs, 1) or now_ns > last_row_ns


def find_batch(
    ledger: Ledger, definitions: Definitions | None, *, planned_at_ns: int | None, now_ns: int
) -> PlannedBatch:
    """
    Return the batch with this T, or the next one.

    Args:
        ledger: The open ledger.
        definitions: The definitions in force; None if they are not known.
        planned_at_ns: T; None for the next one.
        now_ns: Wall clock.

    Raises:
        NotFound: nothing is due.
    """
    after_ns = now_ns if planned_at_ns is None else planned_at_ns - 1
    starts = Counter[int]()
    if definitions is not None and after_ns >= now_ns:
        with ledger.read() as connection:
            withheld = skips.load(connection).as_of(now_ns)
        jobs = definitions.jobs.values()
        starts.update(at for job in jobs if (at := next_start(job, after_ns, withheld)) is not None)
    if planned_at_ns is None:
        written_ns = history.next_planned(ledger, now_ns)
        times = [*starts, *([] if written_ns is None else [written_ns])]
        if not times:
            raise NotFound("no batch is planned", hint="tminus next; tminus jobs")
        planned_at_ns = min(times)
    batch = PlannedBatch(
        planned_at_ns, max(starts[planned_at_ns], history.count_batch(ledger, planned_at_ns).written)
    )
    if not batch.jobs:
        raise NotFound(f"nothing is due at {rfc3339(planned_at_ns)}", hint="`tminus next` lists what is due")
    return batch


class BatchWatch:
    """
    Reads how far a batch is, when the ledger has changed. Not thread-safe.

    Raises:
        LedgerError: the ledger cannot be read.
    """

    def __init__(self, ledger: Ledger, batch: PlannedBatch) -> None:
        self._ledger = ledger
        self._batch = batch
        self._counts = BatchCounts()
        self._counter: int | None = None
        self._read_ns: int | None = None
        self._connection = ledger.own_connection()

    def close(self) -> None:
        """Close its connection. The ledger stays open."""
        self._connection.close()

    def counts(self, now_ns: int) -> BatchCounts:
        """
        Return how far the batch is, as of the last read.

        Args:
            now_ns: Wall clock.
        """
        if not self._batch.is_quiet(now_ns) and self._has_changed(now_ns):
            self._counts = history.count_batch(self._ledger, self._batch.planned_at_ns)
        return self._counts

    def _has_changed(self, now_ns: int) -> bool:
        before, self._counter = self._counter, change_counter(self._connection)
        if self._counter is not None:
            return self._counter != before
        if self._read_ns is not None and abs(now_ns - self._read_ns) < _READ_NS:
            return False
        self._read_ns = now_ns
        return True
