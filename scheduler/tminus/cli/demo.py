"""
The parts of `tminus demo`: a target server, a Flask application, 120 jobs due in a few seconds, and their
plot.
"""

import contextlib
import ctypes
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import IO, Any

from tminus.clock import Clock
from tminus.errors import NoLedger, TminusError
from tminus.instants import SECOND, rfc3339
from tminus.ledger.engine import open_ledger
from tminus.model.batch import BatchCounts
from tminus.model.occurrence import Occurrence
from tminus.model.skew import Skew
from tminus.operations.skew import skew_of
from tminus.operations.watch import BatchWatch, PlannedBatch

_PR_SET_PDEATHSIG = 1  # prctl(2)
HTTP_JOBS = 100
FLASK_JOBS = 20
RESPONSE_AFTER_S = 0.1
_APP = "tminus.cli.demo_app:app"
#: From the start to T: a daemon is ready within two seconds on a slow machine.
_AHEAD_NS = 6 * SECOND
_PATIENCE_NS = 20 * SECOND


class Demo:
    """
    The running demo. At the end of the `with` block, everything that it started has ended, and no file is
    left.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stack = contextlib.ExitStack()
        self._ended_by: int | None = None
        self._watch: BatchWatch | None = None

    def __enter__(self) -> "Demo":
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._end_by)
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tminus-demo-")))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self) -> PlannedBatch:
        """
        Start the target and the daemon.

        Returns:
            The batch that the daemon will run.

        Raises:
            TminusError: the target does not start.
        """
        target = self._run(
            ["-m", "tminus.cli.demo_server", "--delay", str(RESPONSE_AFTER_S)], stdout=subprocess.PIPE
        )
        self._target = _first_line(target).removeprefix("http://")
        planned_at_ns = -(-(self._clock.wall_ns() + _AHEAD_NS) // SECOND) * SECOND
        self.batch = PlannedBatch(planned_at_ns, HTTP_JOBS + FLASK_JOBS)
        jobs_file, self._log = self._folder / "jobs.yaml", self._folder / "daemon.log"
        jobs_file.write_text(jobs_text(self._target, planned_at_ns))
        self._ledger_url = f"sqlite:///{self._folder}/ledger/ledger.db"
        self._daemon = self._run(
            ["-m", "tminus.cli", "daemon", "--config", str(jobs_file), "--ledger", self._ledger_url],
            stderr=self._stack.enter_context(self._log.open("wb")),
        )
        return self.batch

    def counts(self, now_ns: int) -> BatchCounts:
        """
        Return how far the batch is. Until the daemon has made its ledger, all counts are 0.

        Args:
            now_ns: Wall clock.
        """
        if self._watch is None:
            with contextlib.suppress(NoLedger):
                ledger = open_ledger(self._ledger_url, create=False, upgrade=False)
                self._stack.callback(ledger.close)
                self._watch = self._stack.enter_context(contextlib.closing(BatchWatch(ledger, self.batch)))
                self._ledger = ledger
        return self._watch.counts(now_ns) if self._watch else BatchCounts()

    def report(self) -> tuple[Skew, list[Occurrence]]:
        """Return the start offsets of the batch, and its occurrences, after it has ended."""
        return skew_of(self._ledger, self.batch.planned_at_ns)

    def check(self) -> None:
        """
        Check that the daemon runs the batch.

        Raises:
            TminusError: it has ended, or T was long ago.
        """
        is_late = self._clock.wall_ns() > self.batch.planned_at_ns + _PATIENCE_NS
        if is_late or self._daemon.poll() is not None:
            raise TminusError(
                "the demo's daemon did not run the batch", hint=self._log.read_text()[-2000:] or None
            )

    def one_by_one(self) -> Iterator[int]:
        """Send the same requests one after another. Yield when each starts, in nanoseconds from the first."""
        began_ns = self._clock.monotonic_ns()
        for index in range(HTTP_JOBS):
            yield self._clock.monotonic_ns() - began_ns
            connection = http.client.HTTPConnection(self._target)
            connection.request("GET", f"/report/{index}")
            connection.getresponse().read()
            connection.close()

    def _run(
        self, arguments: list[str], *, stdout: int | None = None, stderr: IO[bytes] | None = None
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, *arguments]
        ends_with_this = partial(_end_with_parent, os.getpid())
        process = subprocess.Popen(
            command, stdout=stdout or subprocess.DEVNULL, stderr=stderr, preexec_fn=ends_with_this
        )
        self._stack.callback(_end, process)
        # During fork(2) Python calls callbacks, which swallow the exit that `_end_by` raises.
        if self._ended_by:
            sys.exit(128 + self._ended_by)
        return process

    def _end_by(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal: leave the `with` block."""
        self._ended_by = number
        sys.exit(128 + number)


def _end_with_parent(demo_pid: int) -> None:
    """
    Have the kernel send this child SIGTERM when the demo is killed. Only Linux can do that. If the demo was
    killed before, end the child here.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != demo_pid:
            os._exit(1)


def jobs_text(target: str, planned_at_ns: int) -> str:
    """Return the demo's jobs file, as JSON, which is YAML."""
    job = {"schedule": {"at": rfc3339(planned_at_ns)}}
    jobs: dict[str, Any] = {
        f"http_{i:03}": {**job, "http": f"http://{target}/report/{i}"} for i in range(HTTP_JOBS)
    }
    for i in range(FLASK_JOBS):
        view = {
            "app": _APP,
            "endpoint": "report",
            "args": {"number": i},
            "query": {"takes": str(RESPONSE_AFTER_S)},
        }
        jobs[f"flask_{i:02}"] = {**job, "flask": view}
    return json.dumps({"version": 1, "timezone": "UTC", "jobs": jobs}, indent=1)


def _first_line(process: subprocess.Popen[bytes]) -> str:
    line = process.stdout.readline().decode().strip() if process.stdout else ""
    if not line:
        raise TminusError("the demo's target server does not start")
    return line


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
