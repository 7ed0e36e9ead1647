"""The main job with nothing prepared: a target server, a Flask application, 120 jobs due in a few seconds, the picture."""

import contextlib
import ctypes
import http.client
import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import IO, Any

from scheduler.clock import Clock
from scheduler.errors import TminusError
from scheduler.instants import SECOND, rfc3339
from scheduler.ledger import history
from scheduler.ledger.engine import Ledger, open_ledger
from scheduler.model.occurrence import Occurrence
from scheduler.model.skew import Skew
from scheduler.operations.skew import skew_of

_PR_SET_PDEATHSIG = 1  # prctl(2)
HTTP_JOBS = 100
FLASK_JOBS = 20
ANSWER_AFTER_S = 0.1
_APP = "scheduler.cli.demo_app:app"
#: From here to T: a daemon is ready within two seconds on a slow machine.
_AHEAD_NS = 6 * SECOND
_PATIENCE_NS = 20 * SECOND
_LOOK_S = 0.1


class Demo:
    """Everything it starts ends with the `with` block, and nothing is left on the disk."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stack = contextlib.ExitStack()
        self._ended_by: int | None = None

    def __enter__(self) -> "Demo":
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._end_by)
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tminus-demo-")))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self) -> int:
        """
        Start the target and the daemon.

        Returns:
            T.

        Raises:
            TminusError: one of them does not start.
        """
        target = self._run(["-m", "scheduler.cli.target", "--delay", str(ANSWER_AFTER_S)], stdout=subprocess.PIPE)
        self._target = _first_line(target).removeprefix("http://")
        self.planned_at_ns = -(-(self._clock.wall_ns() + _AHEAD_NS) // SECOND) * SECOND
        jobs_file, self._log = self._folder / "jobs.yaml", self._folder / "daemon.log"
        jobs_file.write_text(jobs_text(self._target, self.planned_at_ns))
        self._ledger_url = f"sqlite:///{self._folder}/ledger/ledger.db"
        self._daemon = self._run(
            ["-m", "scheduler.cli", "daemon", "--config", str(jobs_file), "--ledger", self._ledger_url],
            stderr=self._stack.enter_context(self._log.open("wb")),
        )
        return self.planned_at_ns

    def wait(self) -> tuple[Skew, list[Occurrence]]:
        """
        Wait until the batch is done.

        Raises:
            TminusError: it is not, long after T.
        """
        until_ns = self.planned_at_ns + _PATIENCE_NS
        with self._open_ledger() as ledger:
            while self._clock.wall_ns() < until_ns:
                found = history.of_batch(ledger, self.planned_at_ns)
                if len(found) == HTTP_JOBS + FLASK_JOBS and all(one.outcome for one in found):
                    return skew_of(ledger, self.planned_at_ns)
                if self._daemon.poll() is not None:
                    break
                threading.Event().wait(_LOOK_S)
        raise TminusError("the demo's daemon did not run the batch", hint=self._log.read_text()[-2000:] or None)

    def one_by_one(self) -> Iterator[int]:
        """The same requests one after another: yields when each starts, nanoseconds from the first."""
        began_ns = self._clock.monotonic_ns()
        for index in range(HTTP_JOBS):
            yield self._clock.monotonic_ns() - began_ns
            connection = http.client.HTTPConnection(self._target)
            connection.request("GET", f"/report/{index}")
            connection.getresponse().read()
            connection.close()

    @contextlib.contextmanager
    def _open_ledger(self) -> Iterator[Ledger]:
        until_ns = self._clock.monotonic_ns() + _PATIENCE_NS
        while not (self._folder / "ledger" / "ledger.db").exists() and self._clock.monotonic_ns() < until_ns:
            threading.Event().wait(_LOOK_S)
        ledger = open_ledger(self._ledger_url)
        yield ledger
        ledger.close()

    def _run(
        self, arguments: list[str], *, stdout: int | None = None, stderr: IO[bytes] | None = None
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, *arguments]
        process = subprocess.Popen(command, stdout=stdout or subprocess.DEVNULL, stderr=stderr, preexec_fn=_end_with_parent)
        self._stack.callback(_end, process)
        if self._ended_by:  # while Python's callbacks of fork(2) ran, which swallow what a handler raises
            sys.exit(128 + self._ended_by)
        return process

    def _end_by(self, number: int, _frame: FrameType | None) -> None:
        self._ended_by = number
        sys.exit(128 + number)  # which ends the block


def _end_with_parent() -> None:
    """In a child: SIGTERM when the demo is killed, where the kernel can do that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def jobs_text(target: str, planned_at_ns: int) -> str:
    """The demo's jobs file: JSON is YAML, too."""
    job = {"schedule": {"at": rfc3339(planned_at_ns)}}
    jobs: dict[str, Any] = {f"http_{i:03}": {**job, "http": f"http://{target}/report/{i}"} for i in range(HTTP_JOBS)}
    for i in range(FLASK_JOBS):
        view = {"app": _APP, "endpoint": "report", "args": {"number": i}, "query": {"takes": str(ANSWER_AFTER_S)}}
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
