"""`timeout.first_byte`: when the first byte of each answer has to be there."""

import heapq
from collections.abc import Iterator

from scheduler.clock import Clock
from scheduler.executors.http.transfer import Transfer
from scheduler.instants import MS


class FirstBytes:
    """The limits of one lane; belongs to its thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[int, int, Transfer]] = []

    def expect(self, transfer: Transfer) -> None:
        """Count the limit of a request, if it has one, from now on: the request leaves."""
        if limit_ms := transfer.request.first_byte_ms:
            heapq.heappush(self._due, (self._clock.monotonic_ns() + limit_ms * MS, transfer.request.index, transfer))

    def overdue(self, now_ns: int) -> Iterator[tuple[Transfer, int]]:
        """
        Yield the transfers whose time is over, answered or not, each with its duration.

        Args:
            now_ns: A moment, monotonic clock. What had come by then has been read since: the process may have been stopped.
        """
        while self._due and self._due[0][0] <= now_ns:
            due, _, transfer = heapq.heappop(self._due)
            yield transfer, now_ns - due + transfer.request.first_byte_ms * MS

    def wait_ns(self, most_ns: int) -> int:
        """Return for how long nothing will be overdue, at most `most_ns`."""
        now = self._clock.monotonic_ns()
        return min([most_ns, *(due - now for due, _, _ in self._due[:1])])
