"""A job's process as its fork server sees it, and the shard that it is of."""

import contextlib
import os
import signal
from dataclasses import dataclass, field

from scheduler.executors.python import wire
from scheduler.executors.python.output import Output
from scheduler.executors.python.wire import Finished, Work


@dataclass(slots=True, eq=False)
class Forked:
    """A job's process."""

    shard: "Shard"
    work: Work
    pid: int
    process: int  #: readable once it has ended; pidfd_open(2)
    commands: int
    answers: int
    reports: int
    printed: int
    output: Output
    said: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)  #: not taken yet
    has_asked: bool = False
    is_armed: bool | None = None
    is_withdrawn: bool = False
    is_buried: bool = False
    entered_ns: int = 0  #: seen by the server, monotonic
    told_ns: int = 0
    report: Finished | None = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All that the server has open for it."""
        return self.process, self.commands, self.answers, self.reports, self.printed

    def tell(self, what: bytes) -> None:
        """Give it a command, if it still is."""
        if not self.is_buried:
            with contextlib.suppress(OSError):
                os.write(self.commands, what)

    def answer(self, line: bytes = b"") -> None:
        """Pass an answer on; what it does not take now, it is offered again by the next call."""
        self.answered += line
        if self.answered:
            with contextlib.suppress(OSError):
                del self.answered[: os.write(self.answers, self.answered)]

    def kill(self, number: signal.Signals) -> None:
        """Send it a signal, and all that it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


@dataclass(slots=True, eq=False)
class Shard:
    """A shard, and its processes by the index of their work."""

    arm: wire.Arm
    began_ns: int
    children: dict[int, Forked] = field(default_factory=dict)
    alive: int = 0
    is_armed: bool = False
    is_released: bool = False
