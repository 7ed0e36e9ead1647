"""
The fork server of one application: it forks a process for each isolated job, before T. It is single-threaded, because a process
with threads is never forked. It imports the application, forks, and passes on the messages of its children.
"""

import contextlib
import json
import os
import selectors
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from scheduler.clock import Clock
from scheduler.executors.python import wire
from scheduler.executors.python.board import Board
from scheduler.executors.python.child import GO, HOME, Child
from scheduler.executors.python.forked import Forked, Pipes, Shard, fork, not_forked
from scheduler.executors.python.wire import Work
from scheduler.instants import SECOND

if TYPE_CHECKING:
    from flask import Flask

_LOOK_S = 0.05
#: A child that did not enter by its latest instant has this long to report that itself.
_LATE_NS = SECOND
#: No report of a child is longer; a longer line does not come from our code.
_LONGEST_LINE = 1 << 26


class ForkServer:
    """
    Args:
        app: None for functions that need none.
        report: Takes reports.
        restore: Called in each child: it undoes what the server has changed for itself.
    """

    def __init__(
        self,
        app: "Flask | None",
        *,
        board: Board,
        clock: Clock,
        report: Callable[[wire.Report], None],
        restore: Callable[[], None],
    ) -> None:
        self._app = app
        self._board = board
        self._clock = clock
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
            for key, _ in self._ready.select(_LOOK_S):
                if key.data is None:
                    if not (chunk := os.read(commands.fileno(), 1 << 16)):
                        return
                    for command in wire.read_commands(_lines(buffer, chunk)):
                        self.obey(command)
                else:
                    self._hear(*key.data)
            self._look_at_the_clock()

    def obey(self, command: wire.Command) -> None:
        """Obey a command of the daemon; return at once. After an error, the processes of its shard are killed."""
        try:
            self._obey(command)
        except Exception as error:  # noqa: BLE001  other shards have nothing to do with it
            traceback.print_exc()
            if isinstance(command, wire.Arm | wire.Release) and (shard := self._shards.get(command.shard)):
                shard.break_off(error, now_ns=self._clock.wall_ns())
                self._are_all_armed(shard)
                if shard.is_released:
                    self._report_failed(shard)

    def _obey(self, command: wire.Command) -> None:
        match command:
            case wire.Arm():
                self._arm(command)
            case wire.Release():
                if shard := self._shards.get(command.shard):
                    self._release(shard, command.withdrawn)
            case wire.Withdraw():
                if shard := self._shards.get(command.shard):
                    shard.is_withdrawn = True
                    for child in shard.children.values():
                        self._send_home(child)
                    self._end_if_over(shard)
            case wire.Answered():
                for child in self._children():
                    if child.pid == command.pid:
                        child.answer(wire.encode(command))

    def _arm(self, command: wire.Arm) -> None:
        shard = self._shards[command.shard] = Shard(command, self._clock.monotonic_ns())
        for work in command.works:
            self._board.mark(command.slots + work.index, 0)
            try:
                child = fork(shard, work, self._ready, partial(self._be_child, work, command))
            except Exception as error:  # noqa: BLE001  it costs this job only
                shard.failed[work.index] = not_forked(work, error, now_ns=self._clock.wall_ns())
            else:
                shard.children[work.index] = child
                shard.alive += 1
        self._are_all_armed(shard)

    def _release(self, shard: Shard, withdrawn: Sequence[int]) -> None:
        shard.is_released = True
        for index, child in shard.children.items():
            child.is_withdrawn = index in withdrawn
            if child.is_withdrawn:
                self._send_home(child)
            else:
                child.tell(GO)
        self._report_failed(shard, withdrawn)

    def _report_failed(self, shard: Shard, withdrawn: Sequence[int] = ()) -> None:
        if failed := [finished for index, finished in shard.failed.items() if index not in withdrawn]:
            self._report(wire.Results(shard=shard.arm.shard, finished=failed))
        self._end_if_over(shard)

    def _send_home(self, child: Forked) -> None:
        child.tell(HOME)
        if child.is_armed is None and not child.is_buried:
            child.kill(signal.SIGKILL)  # it still imports, or pushes its contexts, and may never listen

    def _end_if_over(self, shard: Shard) -> None:
        """Report that the shard is done. It waits for the permit, even if all its processes have died before."""
        if not shard.alive and (shard.is_released or shard.is_withdrawn):
            del self._shards[shard.arm.shard]
            self._report(wire.Ended(shard=shard.arm.shard, released=shard.is_released))

    def _be_child(self, work: Work, arm: wire.Arm, pipes: Pipes) -> NoReturn:
        try:
            for descriptor in (1, 2):
                os.dup2(pipes.prints, descriptor)
            self._forget_others()
            for descriptor in (pipes.commands, pipes.link, pipes.printed, pipes.prints):
                os.close(descriptor)
            self._restore()
            child = Child(work, arm, commands=pipes.for_child, link=pipes.links)
            child.run(self._app, board=self._board, clock=self._clock)
        except BaseException:  # noqa: BLE001  a forked process never returns into the server's code
            traceback.print_exc()
        finally:
            os._exit(1)

    def _forget_others(self) -> None:
        """In a child, close the pipes of the other children: otherwise the server would not notice their end."""
        for descriptor in [one for child in self._children() for one in child.descriptors]:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _children(self) -> Iterator[Forked]:
        """Yield the children that are not buried: the pid and the descriptors of the others may belong to something else."""
        return (child for shard in self._shards.values() for child in shard.children.values() if not child.is_buried)

    def _hear(self, child: Forked, descriptor: int) -> None:
        """Read from a descriptor of a child, or bury the child if its process has ended. Do nothing if it is buried."""
        if child.is_buried:
            return
        if descriptor == child.process:
            self._bury(child)
        elif not self._read(child, descriptor):
            self._ready.unregister(descriptor)

    def _read(self, child: Forked, descriptor: int) -> bool:
        """Take what is there; False at its end."""
        try:
            chunk = os.read(descriptor, 1 << 16)
        except (BlockingIOError, ConnectionResetError):  # reset: it has ended without having read an answer
            return False
        if descriptor == child.printed:
            child.output.write(chunk)
        else:
            try:
                for line in _lines(child.said, chunk):
                    self._take(child, json.loads(line))
                is_ours = len(child.said) < _LONGEST_LINE
            except Exception:  # noqa: BLE001  the job has found the descriptor, and written to it
                is_ours = False
            if not is_ours:
                child.said.clear()
                child.kill(signal.SIGKILL)
        return bool(chunk)

    def _take(self, child: Forked, said: dict[str, Any]) -> None:
        if said.keys() == {"armed"}:
            child.is_armed = bool(said["armed"])
            self._are_all_armed(child.shard)
        elif said.keys() == {"ask"}:
            child.has_asked = True
            self._report(wire.Ask(**said["ask"]))
        else:
            child.report = wire.finished_of(said)

    def _are_all_armed(self, shard: Shard) -> None:
        children = shard.children.values()
        is_time = self._clock.wall_ns() > shard.arm.deadline_ns  # one that still prepares holds up nobody else
        if not shard.is_armed and (is_time or all(child.is_armed is not None for child in children)):
            shard.is_armed = True
            took_ns = self._clock.monotonic_ns() - shard.began_ns
            armed = sum(bool(child.is_armed) for child in children)
            self._report(wire.Armed(shard=shard.arm.shard, armed=armed, took_ns=took_ns))

    def _bury(self, child: Forked) -> None:
        """Report a child whose process has ended; others that it has started may still have its pipes open."""
        child.kill(signal.SIGKILL)  # what it has started; not reaped yet, its number is nobody else's
        child.is_buried = True
        shard = child.shard
        status = None
        with contextlib.suppress(ChildProcessError):
            status = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
        for descriptor in (child.link, child.printed):
            while self._read(child, descriptor):
                pass
        for descriptor in (child.process, child.link, child.printed):
            with contextlib.suppress(KeyError):  # read to its end before
                self._ready.unregister(descriptor)
        for descriptor in child.descriptors:
            os.close(descriptor)
        if child.has_asked:
            self._report(wire.Gone(pid=child.pid))
        if child.is_armed is None:
            child.is_armed = False
            self._are_all_armed(shard)
        finished = child.finished(status, started_ns=self._board.entered_ns(child.slot), now_ns=self._clock.wall_ns())
        if not shard.is_released:
            shard.failed[child.work.index] = finished
        elif not child.is_withdrawn:
            self._report(wire.Results(shard=shard.arm.shard, finished=[finished]))
        shard.alive -= 1
        self._end_if_over(shard)

    def _look_at_the_clock(self) -> None:
        now_ns, wall_ns = self._clock.monotonic_ns(), self._clock.wall_ns()
        for child in self._children():
            if not child.entered_ns and self._board.entered_ns(child.slot):
                child.entered_ns = now_ns
            if child.told_ns and now_ns - child.told_ns > child.work.kill_after_ns:
                child.kill(signal.SIGKILL)
            elif not child.told_ns and child.entered_ns and now_ns - child.entered_ns > child.work.total_ns:
                child.told_ns = now_ns
                child.kill(signal.SIGTERM)
            elif child.shard.is_released and not child.entered_ns and wall_ns > child.work.latest_ns + _LATE_NS:
                child.is_late = True
                child.kill(signal.SIGKILL)
            child.answer()
        for shard in list(self._shards.values()):
            self._are_all_armed(shard)
            if not shard.is_released and not shard.is_withdrawn and wall_ns > shard.arm.give_up_ns + _LATE_NS:
                self.obey(wire.Withdraw(shard=shard.arm.shard))  # its children have gone by themselves, if they still listen

    def end_all(self) -> None:
        """Kill what runs, with all that it has started."""
        for child in self._children():
            child.kill(signal.SIGKILL)


def _lines(begun: bytearray, chunk: bytes) -> Sequence[bytes]:
    """Add a chunk to a line that has begun; return the lines that are complete, and leave the rest in `begun`."""
    begun += chunk
    if b"\n" not in chunk:
        return ()  # to look through a long line again with each chunk of it takes seconds
    *lines, rest = bytes(begun).split(b"\n")
    begun[:] = rest
    return lines
