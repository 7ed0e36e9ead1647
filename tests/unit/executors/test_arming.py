"""Arming without a connection to make: it ends by the wall clock, wherever that is set meanwhile."""

import os
import socket
from contextlib import nullcontext
from typing import cast

import pycurl

from scheduler.executors.http.arming import Arming
from scheduler.executors.http.bundle import Bundle
from scheduler.executors.http.loop import Loop
from scheduler.executors.http.names import Resolver
from scheduler.executors.http.primer import ENDED_WELL, ConnectionKey, Standing
from scheduler.executors.http.transfer import Transfer
from scheduler.instants import SECOND
from scheduler.release.gate import Gate
from tests.support.fake_clock import FakeClock

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
    arming = Arming([], loop=loop, standing={}, resolver=Resolver(clock), clock=clock, guard=lambda *_: nullcontext())
    arming.run(deadline_ns=clock.wall_ns() + 1800 * SECOND, gate=Gate(clock), own=1)
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

    def find_primed(self) -> tuple[ConnectionKey, socket.socket]:
        return KEY, self._connection


def test_a_descriptor_of_a_connection_that_libcurl_has_closed_is_not_closed_again() -> None:
    clock = FakeClock()
    loop, standing = Loop(clock), Standing()
    arming = Arming([], loop=loop, standing=standing, resolver=Resolver(clock), clock=clock, guard=lambda *_: nullcontext())
    old, new = socket.socketpair()
    with new:
        number = old.detach()
        for connection in (socket.socket(fileno=number), new):
            transfer = cast(Transfer, Primed(connection))
            bundle = Bundle(pycurl.CurlMulti(), [transfer], shares_connections=False)
            bundle.multi.add_handle(transfer.curl)
            arming._settle(bundle, transfer, ENDED_WELL)
        os.close(number)  # it is still open: it may be that of another connection by now
        assert standing == {KEY: new}
    arming.close()
    loop.close()
