"""How the processes of a shard know that all of them have started."""

import os
import select

from tminus.clock import Clock
from tminus.instants import MS, SECOND

#: A process that has not started, for example because of a SIGSTOP, delays the others this long at most.
LONGEST_NS = 250 * MS
#: Between two looks. If all woke up at once, they would take the core from the last one to start.
_LOOK_NS = 10 * MS


class StartedPipe:
    """
    A pipe without data. Each process of a shard has both ends, and gives up the end for writing when it
    starts. The kernel does that for one that ends. So the pipe is at its end when all have started.

    Not thread-safe. `start` and `wait` belong to the process of a job.

    Raises:
        OSError: there are not enough descriptors.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._null = os.open(os.devnull, os.O_RDWR)
        try:
            self._read, self._write = os.pipe()
        except OSError:
            os.close(self._null)
            raise

    @property
    def descriptors(self) -> tuple[int, int]:
        """Both ends. Their numbers stay this pipe's until `close`."""
        return self._read, self._write

    def start(self) -> None:
        """This process has started."""
        os.dup2(self._null, self._write, inheritable=False)

    def wait(self, timeout_s: float) -> None:
        """Wait until all have started, at most this long, and at most LONGEST_NS."""
        until_ns = self._clock.monotonic_ns() + min(round(timeout_s * SECOND), LONGEST_NS)
        look = select.poll()  # select(2) takes no descriptor beyond 1023
        look.register(self._read)
        while not look.poll(0) and self._clock.monotonic_ns() < until_ns:
            self._clock.pause(_LOOK_NS)

    def close(self) -> None:
        """Give up both ends, in the process that forks the others."""
        for descriptor in (self._read, self._write, self._null):
            os.close(descriptor)
