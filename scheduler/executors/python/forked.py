"""A job's process as its fork server sees it, and the shard that it is of."""

import contextlib
import os
import selectors
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple, NoReturn

from scheduler.executors.python import wire
from scheduler.executors.python.limits import is_exhausted
from scheduler.executors.python.output import Output
from scheduler.executors.python.wire import Finished, Work
from scheduler.instants import SECOND
from scheduler.outcome import Cause


class Pipes(NamedTuple):
    """All pipes of one job's process: the ends of the child and those of the server."""

    for_child: int
    commands: int
    printed: int
    prints: int
    link: int
    links: int


@dataclass(slots=True, eq=False)
class Forked:
    """
    A job's process.

    Attributes:
        process: Readable once it has ended; pidfd_open(2).
        commands: The permit goes there.
        link: A socket: what it reports and asks comes from there, the daemon's answers go there.
        printed: What it prints comes from there.
    """

    shard: "Shard"
    work: Work
    pid: int
    process: int
    commands: int
    link: int
    printed: int
    output: Output
    said: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)  #: not taken yet
    has_asked: bool = False
    is_armed: bool | None = None
    is_withdrawn: bool = False
    is_late: bool = False
    is_buried: bool = False
    entered_ns: int = 0  #: seen by the server, monotonic
    told_ns: int = 0
    report: Finished | None = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All that the server has open for it."""
        return self.process, self.commands, self.link, self.printed

    @property
    def slot(self) -> int:
        """Its place on the board."""
        return self.shard.arm.slots + self.work.index

    def tell(self, what: bytes) -> None:
        """Give it a command, if it still is."""
        if not self.is_buried:
            with contextlib.suppress(OSError):
                os.write(self.commands, what)

    def answer(self, line: bytes = b"") -> None:
        """Give it an answer of the daemon's; it may take a part of it now, and the rest later."""
        self.answered += line
        if self.answered and not self.is_buried:
            with contextlib.suppress(OSError):
                del self.answered[: os.write(self.link, self.answered)]

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to it and all that it has started. Not after it was reaped."""
        is_done = False
        with contextlib.suppress(OSError):
            os.killpg(self.pid, number)
            is_done = number != signal.SIGKILL
        if not is_done:  # a job may have left its group
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(self.process, number)

    def finished(self, status: int | None, *, started_ns: int, now_ns: int) -> Finished:
        """
        Return how its job went, after its process has ended.

        Args:
            status: Exit status or, negative, the signal; None if unknown.
            started_ns: When its function was entered, 0 if it was not.
        """
        report = self.report
        if report is None or self.told_ns:
            how = _how(status)
            before = "it had said how it went" if started_ns else "its function was entered"
            cause, detail = Cause.EXCEPTION, f"its process {how} before {before}"
            if self.told_ns:
                limit = f"not done after {self.work.total_ns / SECOND:g} s (timeout.total)"
                cause, detail = Cause.TIMEOUT, f"{limit}; its process {how}"
            report = Finished(
                index=self.work.index,
                started_ns=started_ns,
                finished_ns=now_ns,
                duration_ns=now_ns - started_ns if started_ns else 0,
                armed=bool(self.is_armed),
                late=self.is_late and not started_ns,
                cause=cause,
                detail=detail,
            )
        return replace(report, output=self.output.value() + report.output)


@dataclass(slots=True, eq=False)
class Shard:
    """A shard, and its processes by the index of their work."""

    arm: wire.Arm
    began_ns: int
    children: dict[int, Forked] = field(default_factory=dict)
    failed: dict[int, Finished] = field(default_factory=dict)  #: before the permit, which is when it is reported
    alive: int = 0
    is_armed: bool = False
    is_released: bool = False
    is_withdrawn: bool = False

    def break_off(self, error: Exception, *, now_ns: int) -> None:
        """End its processes after an error; what has none fails."""
        for work in self.arm.works:
            if child := self.children.get(work.index):
                child.kill(signal.SIGKILL)
            else:
                self.failed.setdefault(work.index, not_forked(work, error, now_ns=now_ns))


def fork(shard: Shard, work: Work, ready: selectors.BaseSelector, be_child: Callable[[Pipes], NoReturn]) -> Forked:
    """
    Fork a process for one job; what it says is announced by `ready`.

    Raises:
        OSError: there are not enough descriptors or processes; nothing is left of the attempt.
    """
    with contextlib.ExitStack() as opened:

        def keep(descriptor: int) -> int:
            opened.callback(os.close, descriptor)
            return descriptor

        commands, printed = [keep(end) for end in os.pipe()], [keep(end) for end in os.pipe()]
        link = [keep(end.detach()) for end in socket.socketpair()]
        pipes = Pipes(*commands, *printed, *link)
        pid = os.fork()
        if pid == 0:
            be_child(pipes)
        opened.callback(os.waitpid, pid, 0)
        opened.callback(os.kill, pid, signal.SIGKILL)
        with contextlib.suppress(OSError):  # the child does the same: whoever is first
            os.setpgid(pid, pid)
        process = keep(os.pidfd_open(pid))
        child = Forked(shard, work, pid, process, pipes.commands, pipes.link, pipes.printed, Output(work.keep_output))
        for descriptor in (process, pipes.link, pipes.printed):
            os.set_blocking(descriptor, False)
            ready.register(descriptor, selectors.EVENT_READ, (child, descriptor))
            opened.callback(ready.unregister, descriptor)
        opened.pop_all()
    for descriptor in (pipes.for_child, pipes.links, pipes.prints):
        os.close(descriptor)
    return child


def not_forked(work: Work, error: Exception, *, now_ns: int) -> Finished:
    """The report on a job for which there is no process."""
    cause = Cause.RESOURCE if is_exhausted(error) else Cause.EXECUTOR
    detail = f"no process could be started for it: {getattr(error, 'strerror', None) or repr(error)}"
    return Finished(index=work.index, started_ns=0, finished_ns=now_ns, duration_ns=0, armed=False, cause=cause, detail=detail)


def _how(status: int | None) -> str:
    """How a process has ended, for people."""
    if status is None:
        return "ended"
    if status >= 0:
        return f"ended with exit status {status}"
    names = {number.value: number.name for number in signal.Signals}
    return f"was killed by {names.get(-status, f'signal {-status}')}"
