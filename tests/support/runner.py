"""The runner of an application in a process of its own, driven as the daemon drives it: by what crosses its pipes."""

import itertools
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scheduler.clock import SystemClock
from scheduler.daemon.channels import Runner
from scheduler.executors.python.board import Board
from scheduler.executors.python.wire import (
    Arm,
    Armed,
    Ask,
    Ended,
    Finished,
    Hello,
    Left,
    Release,
    Report,
    RequestContext,
    Results,
    Spent,
    Withdraw,
    Work,
)
from scheduler.instants import MS, SECOND
from scheduler.model.definitions import App
from tests.support.moments import stretched

LEAD_NS = 500 * MS


def a_call(
    ref: str,
    *args: Any,
    index: int = 0,
    total_ns: int = 20 * SECOND,
    kill_after_ns: int = 10 * SECOND,
    keep_output: int = 1 << 16,
    latest_ns: int = 1 << 62,
    **kwargs: Any,
) -> Work:
    """A call of a function."""
    limits = {"total_ns": total_ns, "kill_after_ns": kill_after_ns, "keep_output": keep_output, "latest_ns": latest_ns}
    return _work(index, ref=ref, arguments=json.dumps([args, kwargs]), **limits)


def a_view(index: int = 0, **request: Any) -> Work:
    """A call of a view."""
    return _work(index, ref=None, request=RequestContext(**request))


def _work(index: int, **given: Any) -> Work:
    built_in: dict[str, Any] = {"total_ns": 20 * SECOND, "keep_output": 1 << 16, "latest_ns": 1 << 62}
    sizes = {"max_body": 1 << 20, "keep_body": 1 << 16}
    return Work(index=index, job=f"job_{index}", occurrence=f"job_{index}@2026-11-20T11:30:00Z", **(built_in | sizes | given))


class RunnerProcess:
    """A runner, and the pipes to it."""

    def __init__(self, channel: Runner, *, isolates: bool) -> None:
        self._channel = channel
        self.clock = SystemClock()
        self.isolates = isolates
        self._numbers = itertools.count(1)
        self.process = channel.start()
        assert self.process.stdout
        self._reports: Iterator[Report] = channel.read(self.process.stdout)  # type: ignore[arg-type]
        hello = next(self._reports)
        assert isinstance(hello, Hello)
        self.hello = hello
        self.t_ns = 0
        self.ended: Ended | None = None
        self.is_spent = False  #: it has left what comes to a fresh one

    def run(self, *works: Work, withdrawn: Sequence[int] = (), lead_ns: int = LEAD_NS) -> dict[int, Finished]:
        """One shard, from its Arm to its end; what came of each."""
        number = self.arm(works, lead_ns=lead_ns)
        self.wait_until_armed()
        self.send(Release(shard=number, withdrawn=list(withdrawn)))
        return self.results()

    def arm(self, works: Sequence[Work], *, lead_ns: int = LEAD_NS) -> int:
        """Send an Arm; the shard's number."""
        number, lead_ns = next(self._numbers), stretched(lead_ns)
        self.t_ns = self.clock.wall_ns() + lead_ns
        arm = Arm(
            shard=number,
            t_ns=self.t_ns,
            deadline_ns=self.t_ns - lead_ns // 4,
            give_up_ns=self.t_ns + stretched(10 * SECOND),
            realtime=self.hello.realtime,
            slots=0,
            works=list(works),
        )
        self.send(arm)
        return number

    def wait_until_armed(self) -> Armed:
        """The next report but those on threads that were written off."""
        armed = next(report for report in self._reports if not isinstance(report, Left | Spent))
        assert isinstance(armed, Armed)
        return armed

    def wait_until_asked(self) -> Ask:
        """The next report: a job asks for something."""
        ask = next(self._reports)
        assert isinstance(ask, Ask)
        return ask

    def wait_until_spent(self) -> None:
        """The next report: it leaves what comes to a fresh one."""
        assert isinstance(next(self._reports), Spent)
        self.is_spent = True

    def results(self) -> dict[int, Finished]:
        """What the shard reports until it has ended, or its runner has."""
        found: dict[int, Finished] = {}
        self.ended = None
        for report in self._reports:
            match report:
                case Results(finished=finished):
                    found |= {one.index: one for one in finished}
                case Ended():
                    self.ended = report
                    break
                case Spent():
                    self.is_spent = True
        return found

    def withdraw(self, number: int) -> None:
        """Send a shard home."""
        self.send(Withdraw(shard=number))

    def send(self, command: Any) -> None:
        """Write a command."""
        self.send_line(self._channel.encode(command))

    def send_line(self, line: bytes) -> None:
        """Write whatever this is."""
        assert self.process.stdin
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def is_preparing(self, index: int) -> bool:
        """What the board says."""
        return self._channel.board.is_preparing(index)

    def entered_ns(self, index: int) -> int:
        """What the board says."""
        return self._channel.board.entered_ns(index)


@contextmanager
def runner(
    folder: Path, code: str | None = None, *, app: str | None = "shop:app", isolates: bool = False, **more: Any
) -> Iterator[RunnerProcess]:
    """
    A runner whose application is in `shop.py`.

    Args:
        folder: Where it lies.
        code: Of `shop.py`.
        app: None for functions without one.
        isolates: A process for each job.
    """
    if code is not None:
        (folder / "shop.py").write_text(code)
    board = Board.make()
    named = App(name="shop", app=app, directory=str(folder), **more) if app else None
    with pytest.MonkeyPatch.context() as patch:
        # What is deprecated in Flask, Werkzeug or Python is an error in all that a runner does.
        patch.setenv("PYTHONWARNINGS", "error::DeprecationWarning,error::PendingDeprecationWarning")
        channel = Runner(named, folder=str(folder), host="here", board=board, isolates=isolates)
        process = RunnerProcess(channel, isolates=isolates)
    try:
        yield process
    finally:
        process.process.kill()
        process.process.wait()
        for pipe in (process.process.stdin, process.process.stdout):
            assert pipe
            pipe.close()
        board.close()


def stopped(process: subprocess.Popen[bytes], timeout_s: float = 240) -> int:
    """Wait for its end."""
    return process.wait(timeout_s)
