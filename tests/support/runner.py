"""The runner of an application in a process of its own, driven as the daemon drives it: through its pipes."""

import itertools
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.moments import stretched, wait_until
from tminus.clock import SystemClock
from tminus.daemon.processes.channels import RunnerChannel
from tminus.executors.protocol import (
    Arm,
    Armed,
    AttemptResult,
    AttemptResults,
    Call,
    Hello,
    JobRequest,
    Left,
    Progress,
    Release,
    Report,
    Returned,
    ShardEnded,
    Spent,
    Withdraw,
)
from tminus.executors.python.start_table import StartTable
from tminus.executors.python.wire import RequestContext, Work
from tminus.instants import MS, SECOND
from tminus.model.definitions import App
from tminus.policies.lead import LONGEST_NS

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
    """Return a call of a function."""
    limits = {
        "total_ns": total_ns,
        "kill_after_ns": kill_after_ns,
        "keep_output": keep_output,
        "latest_ns": latest_ns,
    }
    return _work(index, ref=ref, arguments=json.dumps([args, kwargs]), **limits)


def a_view(index: int = 0, **request: Any) -> Work:
    """Return a call of a view."""
    return _work(index, ref=None, request=RequestContext(**request))


def _work(index: int, **given: Any) -> Work:
    built_in: dict[str, Any] = {"total_ns": 20 * SECOND, "keep_output": 1 << 16, "latest_ns": 1 << 62}
    sizes = {"max_body": 1 << 20, "keep_body": 1 << 16}
    return Work(
        index=index,
        job=f"job_{index}",
        occurrence=f"job_{index}@2026-11-20T11:30:00Z",
        **(built_in | sizes | given),
    )


class RunnerProcess:
    """A runner, and the pipes to it."""

    def __init__(self, channel: RunnerChannel, *, isolates: bool) -> None:
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
        self.release_at_ns = 0
        self.ended: ShardEnded | None = None
        self.is_spent = False  #: whether it leaves further work to a fresh runner

    def run(
        self, *works: Work, withdrawn: Sequence[int] = (), lead_ns: int = LEAD_NS
    ) -> dict[int, AttemptResult]:
        """Run one shard from its Arm to its end; return the result of each work by its index."""
        number = self.arm(works, lead_ns=lead_ns)
        self.wait_until_armed()
        self.release(number, withdrawn)
        return self.results()

    def release(self, number: int, withdrawn: Sequence[int] = ()) -> None:
        """Permit the release of a shard, near its T as the daemon does."""
        wait_until(self.release_at_ns - LONGEST_NS // 2)
        self.send(Release(shard=number, withdrawn=list(withdrawn)))

    def arm(self, works: Sequence[Work], *, lead_ns: int = LEAD_NS) -> int:
        """Send an Arm; return the number of the shard."""
        number, lead_ns = next(self._numbers), stretched(lead_ns)
        self.release_at_ns = self.clock.wall_ns() + lead_ns
        arm = Arm(
            shard=number,
            release_at_ns=self.release_at_ns,
            deadline_ns=self.release_at_ns - lead_ns // 4,
            give_up_ns=self.release_at_ns + stretched(10 * SECOND),
            realtime=self.hello.realtime,
            slots=0,
            works=list(works),
        )
        self.send(arm)
        return number

    def arm_all(self, works: Sequence[Work], *, armed: int | None = None, lead_ns: int = LEAD_NS) -> int:
        """
        Arm a shard of which all works, or this many, are armed; return its number. A busy machine that does
        not get that far by the deadline has twice the time in the next try.
        """
        armed = len(works) if armed is None else armed
        while True:
            number = self.arm(works, lead_ns=lead_ns)
            if (count := self.wait_until_armed().armed) == armed:
                return number
            self.withdraw(number)
            self.results()
            lead_ns *= 2
            assert lead_ns < 240 * SECOND, f"{count} are armed, not {armed}"

    def run_armed(
        self, *works: Work, armed: int | None = None, lead_ns: int = LEAD_NS
    ) -> dict[int, AttemptResult]:
        """As `run`, with the promise of `arm_all`."""
        self.release(self.arm_all(works, armed=armed, lead_ns=lead_ns))
        return self.results()

    def call(self, work: Work) -> int:
        """Send a Call; return its number."""
        number = next(self._numbers)
        self.send(Call(call=number, slot=0, work=work))
        return number

    def wait_until_returned(self) -> tuple[Returned, list[Progress]]:
        """Wait for the end of a call; return its result and its progress. Nothing else may be reported."""
        progress: list[Progress] = []
        while isinstance(report := next(self._reports), Progress):
            progress.append(report)
        assert isinstance(report, Returned)
        return report, progress

    def wait_until_armed(self) -> Armed:
        """Return the next report, which must be Armed, except those on threads that were written off."""
        armed = next(report for report in self._reports if not isinstance(report, Left | Spent))
        assert isinstance(armed, Armed)
        return armed

    def wait_until_asked(self) -> JobRequest:
        """Return the next report, which must be a request of a job."""
        ask = next(self._reports)
        assert isinstance(ask, JobRequest)
        return ask

    def wait_until_spent(self) -> None:
        """Read the next report, which must say that further work goes to a fresh runner."""
        assert isinstance(next(self._reports), Spent)
        self.is_spent = True

    def results(self) -> dict[int, AttemptResult]:
        """Return the results by index that are reported until the shard or its runner has ended."""
        found: dict[int, AttemptResult] = {}
        self.ended = None
        for report in self._reports:
            match report:
                case AttemptResults(finished=finished):
                    found |= {one.index: one for one in finished}
                case ShardEnded():
                    self.ended = report
                    break
                case Spent():
                    self.is_spent = True
        return found

    def withdraw(self, number: int) -> None:
        """Withdraw a shard."""
        self.send(Withdraw(shard=number))

    def send(self, *commands: Any) -> None:
        """Send commands, all at once."""
        self.send_line(b"".join(map(self._channel.encode, commands)))

    def send_line(self, line: bytes) -> None:
        """Send a line, valid or not."""
        assert self.process.stdin
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def is_loading(self, index: int) -> bool:
        """Return whether the start table has this work as loading."""
        return self._channel.start_table.is_loading(index)

    def entered_ns(self, index: int) -> int:
        """Return when this work started, as the start table has it."""
        return self._channel.start_table.entered_ns(index)


@contextmanager
def runner(
    folder: Path,
    code: str | None = None,
    *,
    app: str | None = "shop:app",
    isolates: bool = False,
    **more: Any,
) -> Iterator[RunnerProcess]:
    """
    Yield a runner whose application is in `shop.py`; kill it at the end.

    Args:
        folder: The folder of the application.
        code: The text of `shop.py`; None if the file is there already.
        app: The application; None for functions without one.
        isolates: Whether each job gets a process of its own.
    """
    if code is not None:
        (folder / "shop.py").write_text(code)
    start_table = StartTable.make()
    named = App(name="shop", app=app, directory=str(folder), **more) if app else None
    with pytest.MonkeyPatch.context() as patch:
        # What is deprecated in Flask, Werkzeug or Python is an error in all that a runner does.
        patch.setenv("PYTHONWARNINGS", "error::DeprecationWarning,error::PendingDeprecationWarning")
        channel = RunnerChannel(
            named, folder=str(folder), host="here", start_table=start_table, isolates=isolates
        )
        process = RunnerProcess(channel, isolates=isolates)
    try:
        yield process
    finally:
        process.process.kill()
        process.process.wait()
        for pipe in (process.process.stdin, process.process.stdout):
            assert pipe
            pipe.close()
        start_table.close()


def stopped(process: subprocess.Popen[bytes], timeout_s: float = 240) -> int:
    """Wait for the end of a process; return its exit status."""
    return process.wait(timeout_s)
