"""
The fork server of one application. It imports the application, forks a process for each isolated job before
T, and passes on the messages of these children. It has one thread, because a process with several cannot be
forked safely.
"""

import contextlib
import json
import os
import selectors
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, BinaryIO, NoReturn

from tminus.executors.protocol import (
    Arm,
    Armed,
    AttemptResults,
    Cancel,
    JobRequest,
    JobResponse,
    ProcessExited,
    Release,
    RunnerReport,
    ShardEnded,
    Withdraw,
)
from tminus.executors.python import wire
from tminus.executors.python.child_process import ChildProcess, Pipes, Shard, fork, not_forked
from tminus.executors.python.isolated_job import RELEASE, STAND_DOWN, IsolatedJob
from tminus.executors.python.runner_services import RunnerServices
from tminus.executors.python.started_pipe import StartedPipe
from tminus.executors.python.wire import Work
from tminus.instants import SECOND

_CHECK_S = 0.05
#: A child that has not entered its function in time has this long to report that itself.
_LATE_NS = SECOND
#: Bytes of one read.
_CHUNK = 1 << 16
#: Bytes that a pipe can hold, if a job has enlarged it: pipe-max-size, proc_sys_fs(5).
_LARGEST_PIPE = 1 << 20
#: A longer line of a child does not come from our code.
_LONGEST_LINE = 1 << 26


class ForkServer:
    """
    The loop of a fork server: forks, commands and reaps the processes of isolated jobs.

    Args:
        report: Takes reports.
        restore: Called in each child, to undo what the server has changed for itself.
    """

    def __init__(
        self,
        services: RunnerServices,
        *,
        report: Callable[[RunnerReport], None],
        restore: Callable[[], None],
    ) -> None:
        self._services = services
        self._start_table = services.start_table
        self._clock = services.clock
        self._report = report
        self._restore = restore
        self._shards: dict[int, Shard] = {}
        self._ready = selectors.DefaultSelector()

    def serve(self, commands: BinaryIO) -> None:
        """Serve until the daemon closes the pipe."""
        os.set_blocking(commands.fileno(), False)
        self._ready.register(commands, selectors.EVENT_READ)
        buffer = bytearray()
        while True:
            for key, _ in self._ready.select(_CHECK_S):
                if key.data is None:
                    if not (chunk := os.read(commands.fileno(), _CHUNK)):
                        return
                    for command in wire.read_commands(_lines(buffer, chunk)):
                        self.handle_command(command)
                else:
                    self._read_ready(*key.data)
            self._check_times()

    def handle_command(self, command: wire.Command) -> None:
        """
        Execute a command of the daemon, without waiting for a child. If Arm or Release raises, the processes
        of that shard are killed.
        """
        try:
            self._handle(command)
        except Exception as error:  # noqa: BLE001  other shards have nothing to do with it
            traceback.print_exc()
            if isinstance(command, Arm | Release) and (shard := self._shards.get(command.shard)):
                shard.break_off(error, now_ns=self._clock.wall_ns())
                self._report_if_armed(shard)
                if shard.is_released:
                    self._report_failed(shard)

    def _handle(self, command: wire.Command) -> None:
        match command:
            case Arm():
                self._arm(command)
            case Release() | Withdraw():
                shard = self._shards.get(command.shard)
                if shard is None or shard.is_decided:
                    return  # the first of the two decides, as in a `Hold`
                if isinstance(command, Release):
                    self._release(shard, command.withdrawn)
                else:
                    self._withdraw(shard)
            case Cancel():
                shard = self._shards.get(command.shard)
                if shard and (child := shard.children.get(command.index)):
                    child.is_cancelled = True
                    child.stop_requested_ns = child.stop_requested_ns or self._clock.monotonic_ns()
                    child.kill(signal.SIGTERM)
            case JobResponse():
                for child in self._children():
                    if child.pid == command.pid:
                        child.send_response(wire.encode(command))

    def _arm(self, command: Arm[Work]) -> None:
        shard = self._shards[command.shard] = Shard(command, self._clock.monotonic_ns())
        with contextlib.ExitStack() as stack:
            started = None
            with contextlib.suppress(OSError):  # without a pipe, no job waits until all have started
                started = stack.enter_context(contextlib.closing(StartedPipe(self._clock)))
            for work in command.works:
                self._fork(shard, work, started)
        self._report_if_armed(shard)

    def _fork(self, shard: Shard, work: Work, started: StartedPipe | None) -> None:
        self._start_table.mark(shard.arm.slots + work.index, 0)
        try:
            child = fork(shard, work, self._ready, partial(self._be_child, work, shard.arm, started))
        except Exception as error:  # noqa: BLE001  only this job fails
            shard.failed[work.index] = not_forked(work, error, now_ns=self._clock.wall_ns())
        else:
            shard.children[work.index] = child
            shard.alive += 1

    def _release(self, shard: Shard, withdrawn: Sequence[int]) -> None:
        shard.is_released = True
        for index, child in shard.children.items():
            child.is_withdrawn = index in withdrawn
            if child.is_withdrawn:
                self._stand_down(child)
            else:
                child.send_command(RELEASE)
        self._report_failed(shard, withdrawn)

    def _withdraw(self, shard: Shard) -> None:
        shard.is_withdrawn = True
        for child in shard.children.values():
            self._stand_down(child)
        self._end_if_over(shard)

    def _report_failed(self, shard: Shard, withdrawn: Sequence[int] = ()) -> None:
        if failed := [finished for index, finished in shard.failed.items() if index not in withdrawn]:
            self._report(AttemptResults(shard=shard.arm.shard, finished=failed))
        self._end_if_over(shard)

    def _stand_down(self, child: ChildProcess) -> None:
        child.send_command(STAND_DOWN)
        if child.is_armed is None:
            child.kill(signal.SIGKILL)  # it is being prepared, and may never read the command

    def _end_if_over(self, shard: Shard) -> None:
        """Report the end of the shard if all its processes have ended, but not before it is decided."""
        if not shard.alive and shard.is_decided:
            del self._shards[shard.arm.shard]
            self._report(ShardEnded(shard=shard.arm.shard, released=shard.counts_as_released))

    def _be_child(self, work: Work, arm: Arm[Work], started: StartedPipe | None, pipes: Pipes) -> NoReturn:
        try:
            for descriptor in (1, 2):
                os.dup2(pipes.child_printed, descriptor)
            self._forget_others()
            for descriptor in (pipes.commands, pipes.link, pipes.printed, pipes.child_printed):
                os.close(descriptor)
            self._restore()
            job = IsolatedJob(
                work, arm, commands=pipes.child_commands, link=pipes.child_link, started=started
            )
            job.run(self._services)
        except BaseException:  # noqa: BLE001  a forked process never returns into the server's code
            traceback.print_exc()
        finally:
            os._exit(1)

    def _forget_others(self) -> None:
        """
        In a child, close the server's ends of the other children's pipes. Otherwise those would not notice
        the death of the server.
        """
        for descriptor in [one for child in self._children() for one in child.descriptors]:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _children(self) -> Iterator[ChildProcess]:
        """
        Return the children that are not reaped. The pids and descriptors of the others may be in use again.
        """
        return (
            child
            for shard in self._shards.values()
            for child in shard.children.values()
            if not child.is_reaped
        )

    def _read_ready(self, child: ChildProcess, descriptor: int) -> None:
        """Read from a descriptor of a child, or report its end. Do nothing if it is reaped."""
        if child.is_reaped:
            return
        if descriptor == child.process:
            self._finish(child)
        elif not self._read(child, descriptor):
            self._ready.unregister(descriptor)

    def _read(self, child: ChildProcess, descriptor: int) -> bool:
        """Read one chunk; return False at the end, or if nothing is there now."""
        try:
            chunk = os.read(descriptor, _CHUNK)
        except (BlockingIOError, ConnectionResetError):  # reset: it has ended without reading a response
            return False
        if descriptor == child.printed:
            child.output.write(chunk)
        else:
            try:
                for line in _lines(child.unread, chunk):
                    self._handle_message(child, json.loads(line))
                is_ours = len(child.unread) < _LONGEST_LINE
            except Exception:  # noqa: BLE001  the job has written to the descriptor
                is_ours = False
            if not is_ours:
                child.unread.clear()
                child.kill(signal.SIGKILL)
        return bool(chunk)

    def _handle_message(self, child: ChildProcess, message: dict[str, Any]) -> None:
        if message.keys() == {"armed"}:
            child.is_armed = bool(message["armed"])
            self._report_if_armed(child.shard)
        elif message.keys() == {"stood_down"}:
            child.is_withdrawn = child.has_stood_down = True
        elif message.keys() == {"request"}:
            child.has_asked = True
            self._report(JobRequest(**message["request"]))
        else:
            child.report = wire.to_result(message)

    def _report_if_armed(self, shard: Shard) -> None:
        children = shard.children.values()
        # A child that is still being prepared delays no other.
        is_time = self._clock.wall_ns() > shard.arm.deadline_ns
        if not shard.is_armed and (is_time or all(child.is_armed is not None for child in children)):
            shard.is_armed = True
            took_ns = self._clock.monotonic_ns() - shard.began_ns
            armed = sum(bool(child.is_armed) for child in children)
            self._report(Armed(shard=shard.arm.shard, armed=armed, took_ns=took_ns))

    def _finish(self, child: ChildProcess) -> None:
        """
        Reap a child whose process has ended, and report its result. Processes that it has started may still
        have its pipes open.
        """
        child.kill(signal.SIGKILL)  # what it has started; it is not reaped yet, so its pid is its own
        child.is_reaped = True
        shard = child.shard
        status = None
        with contextlib.suppress(ChildProcessError):
            status = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
        while self._read(child, child.link):
            pass
        # No more than the pipe holds: what the job has started may print without end.
        for _ in range(0, _LARGEST_PIPE, _CHUNK):
            if not self._read(child, child.printed):
                break
        for descriptor in (child.process, child.link, child.printed):
            with contextlib.suppress(KeyError):  # it was read to its end before
                self._ready.unregister(descriptor)
        for descriptor in child.descriptors:
            os.close(descriptor)
        if child.has_asked:
            self._report(ProcessExited(pid=child.pid))
        if child.is_armed is None:
            child.is_armed = False
            self._report_if_armed(shard)
        finished = child.finished(
            status, started_ns=self._start_table.entered_ns(child.slot), now_ns=self._clock.wall_ns()
        )
        if not shard.is_released:
            shard.failed[child.work.index] = finished
        elif not child.is_withdrawn:
            self._report(AttemptResults(shard=shard.arm.shard, finished=[finished]))
        shard.alive -= 1
        self._end_if_over(shard)

    def _check_times(self) -> None:
        now_ns, wall_ns = self._clock.monotonic_ns(), self._clock.wall_ns()
        for child in self._children():
            if not child.entered_ns and self._start_table.entered_ns(child.slot):
                child.entered_ns = now_ns
            if child.stop_requested_ns and now_ns - child.stop_requested_ns > child.work.kill_after_ns:
                child.kill(signal.SIGKILL)
            elif (
                not child.stop_requested_ns
                and child.entered_ns
                and now_ns - child.entered_ns > child.work.total_ns
            ):
                child.stop_requested_ns = now_ns
                child.kill(signal.SIGTERM)
            elif (
                child.shard.is_released and not child.entered_ns and wall_ns > child.work.latest_ns + _LATE_NS
            ):
                child.is_late = True
                child.kill(signal.SIGKILL)
            child.send_response()
        for shard in list(self._shards.values()):
            self._report_if_armed(shard)
            # No permit came. The children would wait longer, because the wall clock may be set back.
            if not shard.is_decided and wall_ns > shard.arm.give_up_ns + _LATE_NS:
                self._withdraw(shard)

    def end_all(self) -> None:
        """Kill all children, with all that they have started."""
        for child in self._children():
            child.kill(signal.SIGKILL)


def _lines(begun: bytearray, chunk: bytes) -> Sequence[bytes]:
    """
    Add a chunk to the beginning of a line. Return the complete lines, and leave the rest in `begun`.
    """
    begun += chunk
    if b"\n" not in chunk:
        return ()  # to search a long line again with each chunk takes seconds
    *lines, rest = bytes(begun).split(b"\n")
    begun[:] = rest
    return lines
