"""Arms a lane until the deadline: resolves names, primes connections, and primes again what dies or fails."""

import select
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from tminus.clock import Clock
from tminus.executors.http.loop import Loop
from tminus.executors.http.primer import ENDED_WELL, ConnectionKey, PrimedConnections
from tminus.executors.http.resolver import Resolver, is_literal, pin
from tminus.executors.http.transfer import Transfer
from tminus.executors.http.transfer_group import TransferGroup
from tminus.instants import MS, SECOND
from tminus.release.gate import Gate

if TYPE_CHECKING:
    import pycurl

#: Primers that start between two checks of the gate and the loop.
_STEP = 25
#: Transfers that are tried until `_STEP` have started. Many of their names may not be resolved yet.
_MOST_TRIED = 500
_TURN_NS = 20 * MS
#: A primer that failed is tried again after this time.
_RETRY_NS = 250 * MS
#: The longest wait: a step of the wall clock is noticed after it.
_IDLE_NS = 100 * MS


class Arming:
    """
    Primes the connections of one lane, on its thread.

    Args:
        guard: Guards each step for one transfer. A transfer that an error has ended is not used again.

    Attributes:
        armed_at_ns: When the last connection was primed, monotonic clock.
    """

    def __init__(
        self,
        groups: Sequence[TransferGroup],
        *,
        loop: Loop,
        primed: PrimedConnections,
        resolver: Resolver,
        clock: Clock,
        guard: Callable[[TransferGroup, Transfer], AbstractContextManager[None]],
    ) -> None:
        self.armed_at_ns = clock.monotonic_ns()
        self._loop = loop
        self._primed = primed
        self._clock = clock
        self._guard = guard
        self._waiting = deque((0, group, transfer) for group in groups for transfer in group.primers)
        self._priming: dict[pycurl.Curl, tuple[TransferGroup, Transfer]] = {}
        self._idle = select.epoll()  #: reports primed connections that their server gives up
        self._idle_by_descriptor: dict[int, tuple[ConnectionKey, int, TransferGroup, Transfer]] = {}
        self._resolver = resolver
        self._lookups: dict[str, Future[list[str]]] = {}

    def run(self, *, deadline_ns: int, gate: Gate, own: object) -> None:
        """
        Arm until the deadline (wall clock). If the wall clock is set back, stop after the time that was left
        at the call. Requests that are not armed by then start unarmed.
        """
        until_ns = self._clock.monotonic_ns() + deadline_ns - self._clock.wall_ns()
        hosts = {transfer.origin[0] for _, _, transfer in self._waiting}
        self._lookups = {
            host: self._resolver.look_up(host, until_ns=until_ns) for host in hosts if not is_literal(host)
        }
        while gate.wait_open(own=own, deadline_ns=deadline_ns) and self._clock.monotonic_ns() < until_ns:
            self._start_primers()
            if self._waiting:
                self._resolver.go_on()
            if self._priming:
                for curl, code, _ in self._loop.run_once(_TURN_NS):
                    group, transfer = self._priming.pop(curl)
                    with self._guard(group, transfer):
                        self._keep_or_retry(group, transfer, code)
                self._retry_given_up(0)
            elif self._waiting:
                self._retry_given_up(_TURN_NS)
            else:
                self._retry_given_up(min(deadline_ns - self._clock.wall_ns(), _IDLE_NS))
        for group, transfer in self._priming.values():
            with self._guard(group, transfer):
                self._end_primer(group, transfer)

    def recheck(self) -> None:
        """Note which servers have given up a connection since `run`."""
        while self._retry_given_up(0):
            pass

    def close(self) -> None:
        """Close the epoll descriptor."""
        self._idle.close()

    def _start_primers(self) -> None:
        now_ns, most = self._clock.monotonic_ns(), len(self._priming) + _STEP
        for _ in range(min(_MOST_TRIED, len(self._waiting))):
            due_ns, group, transfer = self._waiting.popleft()
            with self._guard(group, transfer):
                if due_ns > now_ns or not self._start_primer(group, transfer):
                    self._waiting.append((due_ns, group, transfer))
            if len(self._priming) == most:
                return

    def _start_primer(self, group: TransferGroup, transfer: Transfer) -> bool:
        """Start a primer; return False if its host is not resolved yet."""
        pins = self._pins(transfer)
        if pins is None:
            return False
        transfer.prime(pins)
        group.multi.add_handle(transfer.curl)
        self._loop.run_soon(group.multi)
        self._priming[transfer.curl] = (group, transfer)
        return True

    def _end_primer(self, group: TransferGroup, transfer: Transfer) -> None:
        group.multi.remove_handle(transfer.curl)
        transfer.unprime()

    def _keep_or_retry(self, group: TransferGroup, transfer: Transfer, code: int) -> None:
        """Keep and watch the connection of a primer that has ended well; otherwise prime again."""
        self._end_primer(group, transfer)
        if code != ENDED_WELL:
            self._prime_again(group, transfer)
            return
        self.armed_at_ns = self._clock.monotonic_ns()
        phases = transfer.read_phases()
        for one in group.transfers if group.shares_connections else (transfer,):
            one.primed_phases = phases
        found = transfer.find_primed()
        if found is not None:
            key, connection = found
            # libcurl has closed an earlier connection with this port. Its descriptor may be in use again.
            if closed := self._primed.get(key):
                closed.detach()
            self._primed[key] = connection
            self._idle_by_descriptor[connection.fileno()] = (key, self.armed_at_ns, group, transfer)
            events = select.EPOLLRDHUP | (select.EPOLLIN if transfer.idle_bytes_matter else 0)
            self._idle.register(connection, events)

    def _prime_again(self, group: TransferGroup, transfer: Transfer) -> None:
        self._waiting.append((self._clock.monotonic_ns() + _RETRY_NS, group, transfer))

    def _retry_given_up(self, wait_ns: int) -> bool:
        """
        Prime again the connections that a server has closed, or on which it has sent something unasked.
        Return whether there were any.
        """
        given_up = self._idle.poll(max(wait_ns, 0) / SECOND)
        for descriptor, _events in given_up:
            self._idle.unregister(descriptor)
            key, primed_ns, group, transfer = self._idle_by_descriptor.pop(descriptor)
            self._primed.pop(key).detach()
            group.given_up[transfer.origin] = max(primed_ns, group.given_up.get(transfer.origin, 0))
            with self._guard(group, transfer):
                self._prime_again(group, transfer)
        return bool(given_up)

    def _pins(self, transfer: Transfer) -> list[str] | None:
        """
        Return the addresses of the transfer's host for libcurl; empty if the host is an address. None if the
        host is not resolved yet, or cannot be resolved.
        """
        future = self._lookups.get(transfer.origin[0])
        if future is None:
            return []
        return (
            [pin(transfer.origin, future.result())] if future.done() and future.exception() is None else None
        )
