"""The process of an isolated job, as its fork server sees it, and its shard."""

import contextlib
import os
import selectors
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple, NoReturn

from tminus.executors.protocol import Arm, AttemptResult
from tminus.executors.python.limits import is_exhausted
from tminus.executors.python.output import Output
from tminus.executors.python.wire import Work
from tminus.instants import SECOND
from tminus.outcome import Cause


class Pipes(NamedTuple):
    """The ends of one child's pipes: those of the server, and those of the child."""

    child_commands: int
    commands: int
    printed: int
    child_printed: int
    link: int
    child_link: int


@dataclass(slots=True, eq=False)
class ChildProcess:
    """
    A job's process.

    Attributes:
        has_stood_down: Whether it has not started, because the wall clock was set back to long before T.
        process: A descriptor that is readable when the process has ended; pidfd_open(2).
        commands: The pipe for its permit.
        link: The socket for its reports and requests, and for the daemon's responses.
        printed: The pipe for what it prints.
        unread: The beginning of a line from `link`.
        responses: Responses of the daemon that it has not taken yet.
        entered_ns: When the server saw that its function was entered, monotonic clock; 0 before.
        stop_requested_ns: When it was asked to stop, monotonic clock; 0 before.
    """

    shard: "Shard"
    work: Work
    pid: int
    process: int
    commands: int
    link: int
    printed: int
    output: Output
    unread: bytearray = field(default_factory=bytearray)
    responses: bytearray = field(default_factory=bytearray)
    has_asked: bool = False
    is_armed: bool | None = None
    is_withdrawn: bool = False
    has_stood_down: bool = False
    is_late: bool = False
    is_cancelled: bool = False
    is_reaped: bool = False
    entered_ns: int = 0
    stop_requested_ns: int = 0
    report: AttemptResult | None = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptors that the server has open for it."""
        return self.process, self.commands, self.link, self.printed

    @property
    def slot(self) -> int:
        """Its slot in the start table."""
        return self.shard.arm.slots + self.work.index

    def send_command(self, command: bytes) -> None:
        """Send it a command, if it still exists."""
        if not self.is_reaped:
            with contextlib.suppress(OSError):
                os.write(self.commands, command)

    def send_response(self, line: bytes = b"") -> None:
        """Send it a response of the daemon. It may take a part now, and the rest in a later call."""
        self.responses += line
        if self.responses and not self.is_reaped:
            with contextlib.suppress(OSError):
                del self.responses[: os.write(self.link, self.responses)]

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to it and all that it has started, unless it was reaped: its pid may be reused."""
        if self.is_reaped:
            return
        is_sent = False
        with contextlib.suppress(OSError):
            os.killpg(self.pid, number)
            is_sent = True
        if not is_sent or number == signal.SIGKILL:  # a job may have left its group
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(self.process, number)

    def finished(self, status: int | None, *, started_ns: int, now_ns: int) -> AttemptResult:
        """
        Return the result of its job, after its process has ended.

        Args:
            status: The exit status, or the negative signal; None if unknown.
            started_ns: When its function was entered; 0 if it was not.
        """
        report = self.report
        if report is None or self.stop_requested_ns:
            how = _describe_exit(status)
            before = "it had reported a result" if started_ns else "its function was entered"
            cause, detail = Cause.EXCEPTION, f"its process {how} before {before}"
            if self.is_cancelled:
                detail = f"its process {how}"
            elif self.stop_requested_ns:
                limit = f"not done after {self.work.total_ns / SECOND:g} s (timeout.total)"
                cause, detail = Cause.TIMEOUT, f"{limit}; its process {how}"
            report = AttemptResult(
                index=self.work.index,
                started_ns=started_ns,
                finished_ns=now_ns,
                duration_ns=now_ns - started_ns if started_ns else 0,
                armed=bool(self.is_armed),
                late=self.is_late and not started_ns,
                cause=cause,
                detail=detail,
            )
        return replace(report, output=self.output.value() + report.output, cancelled=self.is_cancelled)


@dataclass(slots=True, eq=False)
class Shard:
    """
    A shard of isolated jobs.

    Attributes:
        children: The processes, by the index of their work.
        failed: The results of jobs that failed before the permit. They are reported after it.
        alive: The number of processes that have not ended.
    """

    arm: Arm[Work]
    began_ns: int
    children: dict[int, ChildProcess] = field(default_factory=dict)
    failed: dict[int, AttemptResult] = field(default_factory=dict)
    alive: int = 0
    is_armed: bool = False
    is_released: bool = False
    is_withdrawn: bool = False

    @property
    def is_decided(self) -> bool:
        """Whether its permit or its withdrawal has come."""
        return self.is_released or self.is_withdrawn

    @property
    def counts_as_released(self) -> bool:
        """
        Whether its end is reported as released: its permit has come, and no job has stood down since. Jobs
        that started or failed are reported anyway.
        """
        return self.is_released and not any(child.has_stood_down for child in self.children.values())

    def break_off(self, error: Exception, *, now_ns: int) -> None:
        """End its processes after an error. Jobs without a process fail."""
        for work in self.arm.works:
            if child := self.children.get(work.index):
                child.kill(signal.SIGKILL)
            else:
                self.failed.setdefault(work.index, not_forked(work, error, now_ns=now_ns))


def fork(
    shard: Shard, work: Work, ready: selectors.BaseSelector, be_child: Callable[[Pipes], NoReturn]
) -> ChildProcess:
    """
    Fork a process for one job; return it. `ready` reports when it has written something, or has ended.

    Raises:
        OSError: there are not enough descriptors or processes. Neither a process nor a descriptor is left.
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
        with contextlib.suppress(OSError):  # the child does the same, perhaps earlier
            os.setpgid(pid, pid)
        process = keep(os.pidfd_open(pid))
        child = ChildProcess(
            shard, work, pid, process, pipes.commands, pipes.link, pipes.printed, Output(work.keep_output)
        )
        for descriptor in (process, pipes.link, pipes.printed):
            os.set_blocking(descriptor, False)
            ready.register(descriptor, selectors.EVENT_READ, (child, descriptor))
            opened.callback(ready.unregister, descriptor)
        opened.pop_all()
    for descriptor in (pipes.child_commands, pipes.child_link, pipes.child_printed):
        os.close(descriptor)
    return child


def not_forked(work: Work, error: Exception, *, now_ns: int) -> AttemptResult:
    """Return the result of a job for which no process could be started."""
    cause = Cause.RESOURCE if is_exhausted(error) else Cause.EXECUTOR
    detail = f"no process could be started for it: {getattr(error, 'strerror', None) or repr(error)}"
    return AttemptResult(index=work.index, finished_ns=now_ns, cause=cause, detail=detail)


def _describe_exit(status: int | None) -> str:
    """Return how a process has ended, for people."""
    if status is None:
        return "ended"
    if status >= 0:
        return f"ended with exit status {status}"
    names = {number.value: number.name for number in signal.Signals}
    return f"was killed by {names.get(-status, f'signal {-status}')}"
