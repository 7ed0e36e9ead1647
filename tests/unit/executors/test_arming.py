"""Arming without a connection to make: it ends by the wall clock, wherever that is set meanwhile."""

import os
import socket
from contextlib import nullcontext
from typing import TYPE_CHECKING, cast

import pycurl

from tests.support.fake_clock import FakeClock
from tminus.executors.http.arming import Arming
from tminus.executors.http.loop import Loop
from tminus.executors.http.primer import ENDED_WELL, ConnectionKey, PrimedConnections
from tminus.executors.http.resolver import Resolver
from tminus.executors.http.transfer_group import TransferGroup
from tminus.instants import MS, SECOND
from tminus.release.gate import Gate

if TYPE_CHECKING:
    from tminus.executors.http.transfer import Transfer

KEY = ("192.0.2.1", 443, 50_000)


class LeapingClock(FakeClock):
    """Set an hour ahead after it was looked at some times."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self._looks = looks

    def wall_ns(self) -> int:
        self._looks -= 1
        if not self._looks:
            self.step_wall(3600 * SECOND)
        return super().wall_ns()


def test_a_step_beyond_the_deadline_ends_it() -> None:
    clock = LeapingClock(looks=6)
    loop = Loop(clock)
    arming = Arming(
        [], loop=loop, primed={}, resolver=Resolver(clock), clock=clock, guard=lambda *_: nullcontext()
    )
    arming.run(deadline_ns=clock.wall_ns() + 1800 * SECOND, gate=Gate(clock), own=1)
    arming.close()
    loop.close()


class TickingClock(FakeClock):
    """Each look at the monotonic clock takes 100 ms; the wall clock is set back at the tenth one."""

    def monotonic_ns(self) -> int:
        self.pass_by(100 * MS)
        if super().monotonic_ns() == SECOND:
            self.step_wall(-3600 * SECOND)
        return super().monotonic_ns()


def test_a_step_back_does_not_prolong_it() -> None:
    clock = TickingClock()
    loop = Loop(clock)
    arming = Arming(
        [], loop=loop, primed={}, resolver=Resolver(clock), clock=clock, guard=lambda *_: nullcontext()
    )
    began_ns = FakeClock.monotonic_ns(clock)
    arming.run(deadline_ns=clock.wall_ns() + 2 * SECOND, gate=Gate(clock), own=1)
    assert FakeClock.monotonic_ns(clock) - began_ns < 3 * SECOND
    arming.close()
    loop.close()


class Primed:
    """A transfer whose primer has opened this connection."""

    origin = ("shop.example.com", 443)
    idle_bytes_matter = False

    def __init__(self, connection: socket.socket) -> None:
        self.curl = pycurl.Curl()
        self._connection = connection

    def unprime(self) -> None:
        """It needs nothing."""

    def read_phases(self) -> dict[str, int]:
        return {}

    def find_primed(self) -> tuple[ConnectionKey, socket.socket]:
        return KEY, self._connection


def test_a_descriptor_of_a_connection_that_libcurl_has_closed_is_not_closed_again() -> None:
    clock = FakeClock()
    loop, primed = Loop(clock), PrimedConnections()
    arming = Arming(
        [],
        loop=loop,
        primed=primed,
        resolver=Resolver(clock),
        clock=clock,
        guard=lambda *_: nullcontext(),
    )
    old, new = socket.socketpair()
    with new:
        number = old.detach()
        for connection in (socket.socket(fileno=number), new):
            transfer = cast("Transfer", Primed(connection))
            group = TransferGroup(pycurl.CurlMulti(), [transfer], shares_connections=False)
            group.multi.add_handle(transfer.curl)
            arming._keep_or_retry(group, transfer, ENDED_WELL)
        os.close(number)  # it is still open: it may be that of another connection by now
        assert primed == {KEY: new}
    arming.close()
    loop.close()
