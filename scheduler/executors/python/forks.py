"""
The fork server of one application: a process for each isolated job, forked before T. Single-threaded, for a process with
threads is never forked; it imports the application, forks, and passes on what its children say.
"""

import contextlib
import gc
import json
import logging
import os
import selectors
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, BinaryIO

from scheduler.clock import Clock, SystemClock
from scheduler.executors.python import output, pipe, wire
from scheduler.executors.python.board import Board
from scheduler.executors.python.child import GO, HOME, Child
from scheduler.executors.python.forked import Forked, Shard
from scheduler.executors.python.output import Output
from scheduler.executors.python.serve import imported
from scheduler.executors.python.wire import Finished, Work
from scheduler.instants import SECOND
from scheduler.outcome import Cause

if TYPE_CHECKING:
    from flask import Flask

_LOOK_S = 0.05


class ForkServer:
    """
    Args:
        app: None for functions that need none.
        report: Takes reports.
        ours: Descriptors to the daemon. A child that kept them would hide from it that the server has died.
    """

    def __init__(
        self, app: "Flask | None", *, board: Board, clock: Clock, report: Callable[[wire.Report], None], ours: Sequence[int]
    ) -> None:
        self._app = app
        self._board = board
        self._clock = clock
        self._report = report
        self._ours = ours
        self._shards: dict[int, Shard] = {}
        self._ready = selectors.DefaultSelector()

    def serve(self, commands: BinaryIO) -> None:
        """Until the daemon closes the pipe; what still runs then is ended."""
        os.set_blocking(commands.fileno(), False)
        self._ready.register(commands, selectors.EVENT_READ)
        buffer = bytearray()
        while True:
            for key, _ in self._ready.select(_LOOK_S):
                if key.data is None:
                    if not (chunk := os.read(commands.fileno(), 1 << 16)):
                        self._end_all()
                        return
                    buffer += chunk
                    *lines, rest = buffer.split(b"\n")
                    buffer = bytearray(rest)
                    for command in wire.commands_in(map(bytes, lines)):
                        self._obey(command)
                else:
                    self._hear(*key.data)
            self._look_at_the_clock()

    def _obey(self, command: wire.Command) -> None:
        match command:
            case wire.Arm():
                self._arm(command)
            case wire.Release():
                if shard := self._shards.get(command.shard):
                    shard.is_released = True
                    for index, child in shard.children.items():
                        child.is_withdrawn = index in command.withdrawn
                        child.tell(HOME if child.is_withdrawn else GO)
            case wire.Withdraw():
                if shard := self._shards.get(command.shard):
                    for child in shard.children.values():
                        child.tell(HOME)
            case wire.Answered():
                for child in self._children():
                    if child.pid == command.pid:
                        child.answer(json.dumps(asdict(command)).encode() + b"\n")

    def _arm(self, command: wire.Arm) -> None:
        shard = self._shards[command.shard] = Shard(command, self._clock.monotonic_ns())
        for work in command.works:
            self._board.mark(command.slots + work.index, 0)
            child = shard.children[work.index] = self._fork(shard, work)
            shard.alive += 1
            for descriptor in (child.process, child.reports, child.printed):
                self._ready.register(descriptor, selectors.EVENT_READ, (child, descriptor))

    def _fork(self, shard: Shard, work: Work) -> Forked:
        commands, answers, reports, printed = os.pipe(), os.pipe(), os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                for descriptor in (1, 2):
                    os.dup2(printed[1], descriptor)
                self._forget_others()
                for descriptor in (commands[1], answers[1], reports[0], printed[0]):
                    os.close(descriptor)
                child = Child(work, shard.arm, commands=commands[0], answers=answers[0], reports=reports[1])
                child.run(self._app, board=self._board, clock=self._clock)
            finally:
                os._exit(1)
        for descriptor in (commands[0], answers[0], reports[1], printed[1]):
            os.close(descriptor)
        for descriptor in (answers[1], reports[0], printed[0]):
            os.set_blocking(descriptor, False)
        process = os.pidfd_open(pid)
        return Forked(shard, work, pid, process, commands[1], answers[1], reports[0], printed[0], Output(work.keep_output))

    def _forget_others(self) -> None:
        """In a child: the server's own pipes, and those of its elder siblings, whose ends the server could not see else."""
        for descriptor in (*self._ours, *(one for child in self._children() for one in child.descriptors)):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _children(self) -> Iterator[Forked]:
        """Those that are not buried: of these neither the pid nor a descriptor is theirs any more."""
        return (child for shard in self._shards.values() for child in shard.children.values() if not child.is_buried)

    def _hear(self, child: Forked, descriptor: int) -> None:
        """Something is to be read there, or the process has ended; nothing where that has been seen already."""
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
        except BlockingIOError:
            return False
        if descriptor == child.printed:
            child.output.write(chunk)
        else:
            child.said += chunk
            *lines, rest = child.said.split(b"\n")
            child.said = bytearray(rest)
            for line in lines:
                self._take(child, json.loads(line))
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
        if not shard.is_armed and all(child.is_armed is not None for child in children):
            shard.is_armed = True
            took_ns = self._clock.monotonic_ns() - shard.began_ns
            armed = sum(bool(child.is_armed) for child in children)
            self._report(wire.Armed(shard=shard.arm.shard, armed=armed, took_ns=took_ns))

    def _bury(self, child: Forked) -> None:
        """Its process has ended; others that it has started may still hold its pipes."""
        child.is_buried = True
        shard = child.shard
        _, status = os.waitpid(child.pid, 0)
        child.kill(signal.SIGKILL)  # what it has started
        for descriptor in (child.reports, child.printed):
            while self._read(child, descriptor):
                pass
        for descriptor in (child.process, child.reports, child.printed):
            with contextlib.suppress(KeyError):  # read to its end before
                self._ready.unregister(descriptor)
        for descriptor in child.descriptors:
            os.close(descriptor)
        if child.has_asked:
            self._report(wire.Gone(pid=child.pid))
        if child.is_armed is None:
            child.is_armed = False
            self._are_all_armed(shard)
        if shard.is_released and not child.is_withdrawn:
            finished = self._finished(child, os.waitstatus_to_exitcode(status))
            self._report(wire.Results(shard=shard.arm.shard, finished=[finished]))
        shard.alive -= 1
        if not shard.alive:
            del self._shards[shard.arm.shard]
            self._report(wire.Ended(shard=shard.arm.shard, released=shard.is_released))

    def _finished(self, child: Forked, status: int) -> Finished:
        report = child.report
        if report is None or child.told_ns:
            started_ns = self._board.entered_ns(child.shard.arm.slots + child.work.index)
            now_ns = self._clock.wall_ns()
            how = f"ended with exit status {status}" if status >= 0 else f"was killed by {signal.Signals(-status).name}"
            detail = f"its process {how} before it had said how it went"
            cause = Cause.EXCEPTION
            if child.told_ns:
                cause = Cause.TIMEOUT
                detail = f"not done after {child.work.total_ns / SECOND:g} s (timeout.total); its process {how}"
            report = Finished(
                index=child.work.index,
                started_ns=started_ns,
                finished_ns=now_ns,
                duration_ns=now_ns - started_ns if started_ns else 0,
                armed=bool(child.is_armed),
                cause=cause,
                detail=detail,
            )
        return replace(report, output=child.output.value() + report.output)

    def _look_at_the_clock(self) -> None:
        now_ns = self._clock.monotonic_ns()
        for child in self._children():
            if not child.entered_ns and self._board.entered_ns(child.shard.arm.slots + child.work.index):
                child.entered_ns = now_ns
            if child.told_ns and now_ns - child.told_ns > child.work.kill_after_ns:
                child.kill(signal.SIGKILL)
            elif not child.told_ns and child.entered_ns and now_ns - child.entered_ns > child.work.total_ns:
                child.told_ns = now_ns
                child.kill(signal.SIGTERM)
            child.answer()

    def _end_all(self) -> None:
        for child in self._children():
            child.kill(signal.SIGKILL)


def serve_forks(board: Board, app_name: str | None) -> None:
    """Import the application once, then fork until the daemon closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    commands, reports_to = wire.private_pipes()
    # What a child prints goes to a pipe of its own by its descriptors: what a C library prints, too.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    output.log_to(logging.StreamHandler(sys.stderr))
    pipe.current = pipe.Pipe()  # its children open it
    app = imported(app_name, reports_to)
    gc.collect()
    gc.freeze()  # what the children share stays shared

    def report(what: wire.Report) -> None:
        try:
            wire.write(reports_to, what)
        except OSError:
            os._exit(1)  # the daemon is gone

    server = ForkServer(app, board=board, clock=SystemClock(), report=report, ours=(commands.fileno(), reports_to.fileno()))
    report(wire.Hello(version=wire.VERSION, pid=os.getpid()))
    server.serve(commands)
    os._exit(0)
