"""Arming without a connection to make: it ends by the wall clock, wherever that is set meanwhile."""

from contextlib import nullcontext

from scheduler.executors.http.arming import Arming
from scheduler.executors.http.loop import Loop
from scheduler.executors.http.names import Resolver
from scheduler.instants import SECOND
from scheduler.release.gate import Gate
from tests.support.fake_clock import FakeClock


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
