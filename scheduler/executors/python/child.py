"""One isolated job, in a process that was forked for it, from its preparation to its report."""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

from scheduler.clock import Clock
from scheduler.executors.python import pipe, wire
from scheduler.executors.python.board import Board
from scheduler.executors.python.job import Job
from scheduler.executors.python.job_forks import keep_from_forks
from scheduler.executors.python.loading import Loader
from scheduler.executors.python.wire import Answered, Ask, Finished, Work
from scheduler.instants import MS
from scheduler.release.gate import Gate
from scheduler.release.latch import Latch

if TYPE_CHECKING:
    from flask import Flask

#: The commands of the server.
GO, HOME = b"g", b"h"
_PR_SET_PDEATHSIG = 1  # prctl(2)
#: poll(2) waits no longer.
_LONGEST_MS = 2**31 - 1


class Child:
    """
    Args:
        arm: Of its shard.
        commands: GO or HOME comes from here; its end means that the server has died.
        link: `armed`, what the job asks, and the one report go there, one per line. The daemon's answers come from there.
    """

    def __init__(self, work: Work, arm: wire.Arm, *, commands: int, link: int) -> None:
        self._work = work
        self._arm = arm
        self._commands = commands
        self._link = link
        self._saying = threading.Lock()
        self._pipe = pipe.Pipe()
        self._listens = False

    def run(self, app: "Flask | None", *, board: Board, clock: Clock) -> NoReturn:
        """Prepare, wait for the permit, hold until T, enter, report; then end the process."""
        with contextlib.suppress(PermissionError):  # the server does the same: whoever is first
            os.setpgid(0, 0)  # what the job starts ends with it
        _end_with_parent()
        keep_from_forks((self._commands, self._link), board)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("SIGTERM: its time is over (timeout.total)"))
        arm, done = self._arm, list[Finished]()
        slot = arm.slots + self._work.index
        alone = Latch()
        alone.open()
        job = Job(
            self._work,
            app,
            slot=slot,
            board=board,
            clock=clock,
            gate=Gate(clock),
            loader=Loader(),
            shard=0,
            all_out=alone,
            report=done.append,
        )
        self._pipe.open(self._ask)
        pipe.current = self._pipe
        job.arm(arm.deadline_ns)
        self._say({"armed": job.is_armed})
        left_ns = max(arm.give_up_ns - clock.wall_ns(), 0)
        permit = select.poll()  # select(2) takes no descriptor beyond 1023
        permit.register(self._commands, select.POLLIN)
        if permit.poll(min(left_ns // MS, _LONGEST_MS)) and os.read(self._commands, 1) == GO:
            # No spinning: there is a process for each job, and fewer cores.
            clock.wait_until(arm.t_ns, threading.Event())
            job.go(clock.wall_ns())
            job.drain()
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):  # a job may have closed it, or put anything in its place
                    stream.flush()
            self._say(wire.plain(done[0]))
        else:
            job.go_home()
        os._exit(0)

    def _ask(self, ask: Ask) -> None:
        with self._saying:
            listens, self._listens = self._listens, True
        if not listens:
            threading.Thread(target=self._listen, name="answers", daemon=True).start()
        # Not on this thread: the signal that ends a job may come while a line is written, which would cut it short.
        threading.Thread(target=self._say, args=({"ask": wire.plain(ask)},), name="ask", daemon=True).start()

    def _listen(self) -> None:
        with open(self._link, "rb", closefd=False) as answers:
            for answered in wire.read_commands(answers):
                if isinstance(answered, Answered):
                    self._pipe.hear(answered)
        os._exit(1)  # the server has died, and the daemon has taken back what this process had locked

    def _say(self, what: dict[str, object]) -> None:
        with self._saying:
            left = memoryview(json.dumps(what, default=wire.plain).encode() + b"\n")
            while left:
                left = left[os.write(self._link, left) :]


def _end_with_parent() -> None:
    """Have this process killed if its server dies: its result could not be reported any more. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
