"""Arm a lane: resolve names, prime connections, prime again what dies or fails, until the deadline."""

import select
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager

import pycurl

from scheduler.clock import Clock
from scheduler.executors.http.bundle import Bundle
from scheduler.executors.http.loop import Loop
from scheduler.executors.http.names import Resolver, is_literal, pin
from scheduler.executors.http.primer import ENDED_WELL, ConnectionKey, Standing
from scheduler.executors.http.transfer import Transfer
from scheduler.instants import MS, SECOND
from scheduler.release.gate import Gate

#: Connections begun between two looks at the gate and the loop.
_STEP = 25
#: Transfers looked at for that: of many, the names may not be known yet.
_MOST_LOOKED_AT = 500
_TURN_NS = 20 * MS
#: A primer that failed is tried again after this, as long as there is time.
_RETRY_NS = 250 * MS
#: A step of the wall clock is noticed within this time.
_IDLE_NS = 100 * MS


class Arming:
    """
    Primes the connections of one lane, on its thread.

    Args:
        guard: Each step for one transfer runs within this; a transfer that an error has ended is not touched again.

    Attributes:
        armed_at_ns: When the last connection was primed; monotonic clock.
    """

    def __init__(
        self,
        bundles: Sequence[Bundle],
        *,
        loop: Loop,
        standing: Standing,
        resolver: Resolver,
        clock: Clock,
        guard: Callable[[Bundle, Transfer], AbstractContextManager[None]],
    ) -> None:
        self.armed_at_ns = clock.monotonic_ns()
        self._loop = loop
        self._standing = standing
        self._clock = clock
        self._guard = guard
        self._waiting = deque((0, bundle, transfer) for bundle in bundles for transfer in bundle.primers)
        self._busy: dict[pycurl.Curl, tuple[Bundle, Transfer]] = {}
        self._idle = select.epoll()
        self._idle_at: dict[int, tuple[ConnectionKey, int, Bundle, Transfer]] = {}
        self._resolver = resolver
        self._looked_up: dict[str, Future[list[str]]] = {}

    def run(self, *, deadline_ns: int, gate: Gate, own: object) -> None:
        """Arm until the deadline (wall clock); what is not armed by then starts unarmed."""
        until_ns = self._clock.monotonic_ns() + deadline_ns - self._clock.wall_ns()
        hosts = {transfer.origin[0] for _, _, transfer in self._waiting}
        self._looked_up = {host: self._resolver.look_up(host, until_ns=until_ns) for host in hosts if not is_literal(host)}
        while gate.wait_open(own=own, deadline_ns=deadline_ns):
            self._begin_some()
            if self._waiting:
                self._resolver.go_on()
            if self._busy:
                for curl, code, _ in self._loop.turn(_TURN_NS):
                    bundle, transfer = self._busy.pop(curl)
                    with self._guard(bundle, transfer):
                        self._settle(bundle, transfer, code)
                self._look_after(0)
            elif self._waiting:
                self._look_after(_TURN_NS)
            else:
                self._look_after(min(deadline_ns - self._clock.wall_ns(), _IDLE_NS))
        for bundle, transfer in self._busy.values():
            with self._guard(bundle, transfer):
                self._stop(bundle, transfer)

    def look_again(self) -> None:
        """Note which servers have given up on a connection since `run`."""
        while self._look_after(0):
            pass

    def close(self) -> None:
        """Give the descriptor back."""
        self._idle.close()

    def _begin_some(self) -> None:
        now, most = self._clock.monotonic_ns(), len(self._busy) + _STEP
        for _ in range(min(_MOST_LOOKED_AT, len(self._waiting))):
            due, bundle, transfer = self._waiting.popleft()
            with self._guard(bundle, transfer):
                if due > now or not self._begin(bundle, transfer):
                    self._waiting.append((due, bundle, transfer))
            if len(self._busy) == most:
                return

    def _begin(self, bundle: Bundle, transfer: Transfer) -> bool:
        """Start a primer; return False if its host is not resolved yet."""
        pins = self._pins(transfer)
        if pins is None:
            return False
        transfer.prime(pins)
        bundle.multi.add_handle(transfer.curl)
        self._loop.kick(bundle.multi)
        self._busy[transfer.curl] = (bundle, transfer)
        return True

    def _stop(self, bundle: Bundle, transfer: Transfer) -> None:
        bundle.multi.remove_handle(transfer.curl)
        transfer.unprime()

    def _settle(self, bundle: Bundle, transfer: Transfer, code: int) -> None:
        """Keep the connection of a primer that has ended well, and look after it; otherwise prime again."""
        self._stop(bundle, transfer)
        if code != ENDED_WELL:
            self._prime_again(bundle, transfer)
            return
        self.armed_at_ns = self._clock.monotonic_ns()
        found = transfer.find_primed()
        if found is not None:
            key, connection = found
            if closed := self._standing.get(key):  # by libcurl, unseen: its port is used again, and maybe its descriptor
                closed.detach()
            self._standing[key] = connection
            self._idle_at[connection.fileno()] = (key, self.armed_at_ns, bundle, transfer)
            events = select.EPOLLRDHUP | (select.EPOLLIN if transfer.idle_bytes_matter else 0)
            self._idle.register(connection, events)

    def _prime_again(self, bundle: Bundle, transfer: Transfer) -> None:
        self._waiting.append((self._clock.monotonic_ns() + _RETRY_NS, bundle, transfer))

    def _look_after(self, wait_ns: int) -> bool:
        """Prime again what a peer has given up, by closing it or by sending something unasked; return whether there was any."""
        gone = self._idle.poll(max(wait_ns, 0) / SECOND)
        for descriptor, _events in gone:
            self._idle.unregister(descriptor)
            key, primed_ns, bundle, transfer = self._idle_at.pop(descriptor)
            self._standing.pop(key).detach()
            bundle.given_up[transfer.origin] = max(primed_ns, bundle.given_up.get(transfer.origin, 0))
            with self._guard(bundle, transfer):
                self._prime_again(bundle, transfer)
        return bool(gone)

    def _pins(self, transfer: Transfer) -> list[str] | None:
        """Return the addresses of its host for libcurl, empty for an address; None if they are not known, or there are none."""
        future = self._looked_up.get(transfer.origin[0])
        if future is None:
            return []
        return [pin(transfer.origin, future.result())] if future.done() and future.exception() is None else None
