"""`timeout.first_byte`: the time limit for the first byte of each response."""

import heapq
from collections.abc import Iterator

from tminus.clock import Clock
from tminus.executors.http.transfer import Transfer
from tminus.instants import MS


class FirstBytes:
    """The limits of one lane. Belongs to its thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[int, int, Transfer]] = []

    def expect(self, transfer: Transfer) -> None:
        """Start the limit of a request, if it has one, because the request leaves now."""
        if limit_ms := transfer.request.first_byte_ms:
            heapq.heappush(
                self._due, (self._clock.monotonic_ns() + limit_ms * MS, transfer.request.index, transfer)
            )

    def overdue(self, now_ns: int) -> Iterator[tuple[Transfer, int]]:
        """
        Yield the transfers whose time is over, even those with a response; each with its duration.

        Args:
            now_ns: A past moment, monotonic clock. Bytes that came before it are read by now, even if the
                process was stopped meanwhile.
        """
        while self._due and self._due[0][0] <= now_ns:
            due, _, transfer = heapq.heappop(self._due)
            yield transfer, now_ns - due + transfer.request.first_byte_ms * MS

    def wait_ns(self, most_ns: int) -> int:
        """Return the time until the next transfer is overdue, at most `most_ns`."""
        now = self._clock.monotonic_ns()
        return min([most_ns, *(due - now for due, _, _ in self._due[:1])])
