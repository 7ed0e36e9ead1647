"""The program as users start it: the daemon in a process of its own, and single commands."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PATIENCE_S = 30.0


def tminus(*arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    command = [sys.executable, "-m", "scheduler.cli", *arguments]
    environment = os.environ | {"PYTHONPATH": os.getcwd()} | (env or {})
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)


def tminus_json(*arguments: str, **more: Any) -> Any:
    """The one document that a command prints with `--json`."""
    return json.loads(tminus(*arguments, "--json", **more).stdout)


def eventually(check: Callable[[], Any], timeout_s: float = PATIENCE_S, what: str = "") -> Any:
    """Ask again and again, until the answer is truthy; returns it."""
    until = time.monotonic() + timeout_s
    while not (answer := check()):
        assert time.monotonic() < until, f"never came true: {what or check}"
        threading.Event().wait(0.02)
    return answer


class DaemonProcess:
    """`tminus daemon` on a jobs file and a ledger of its own."""

    def __init__(self, folder: Path, jobs: str, *, ledger: str | None = None, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.jobs_file = folder / "jobs.yaml"
        self.ledger = ledger or f"sqlite:///{folder}/ledger/ledger.db"
        self.log_file = folder / "daemon.log"
        self._env = env or {}
        self.process: subprocess.Popen[bytes] | None = None
        self.write(jobs)

    def write(self, jobs: str) -> None:
        """Replace the jobs file, whole."""
        new = self.jobs_file.with_suffix(".new")
        new.write_text(jobs)
        new.replace(self.jobs_file)

    def start(self, *, wait: bool = True) -> "DaemonProcess":
        """Start it, and wait until it is ready."""
        command = [sys.executable, "-m", "scheduler.cli", "daemon", "-c", str(self.jobs_file), "--ledger", self.ledger]
        environment = os.environ | {"PYTHONPATH": os.getcwd(), "TMINUS_LOG": "json"} | self._env
        ready_before = self.said("ready")
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, cwd=self.folder, stderr=log, stdout=subprocess.DEVNULL)
        if wait:
            eventually(lambda: len(self.said("ready")) > len(ready_before) or self._has_died(), what="the daemon is ready")
        return self

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the daemon alone."""
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait for its end; returns the exit status."""
        assert self.process is not None
        return self.process.wait(timeout_s)

    def stop(self) -> int:
        """SIGTERM, and wait."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def said(self, event: str) -> list[dict[str, Any]]:
        """All log lines of that event so far."""
        return [line for line in self.log() if line.get("event") == event]

    def log(self) -> list[dict[str, Any]]:
        """The whole log."""
        if not self.log_file.exists():
            return []
        lines = []
        for line in self.log_file.read_text().splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        return lines

    def wait_until_said(self, event: str, times: int = 1) -> dict[str, Any]:
        """Wait for the n-th log line of that event."""
        eventually(lambda: len(self.said(event)) >= times, what=f"the log says {event!r}")
        return self.said(event)[times - 1]

    def tminus(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command on this jobs file and ledger."""
        return tminus("-c", str(self.jobs_file), "--ledger", self.ledger, *arguments)

    def json(self, *arguments: str) -> Any:
        """What a command prints with `--json`."""
        return json.loads(self.tminus(*arguments, "--json").stdout)

    def executor_pid(self) -> int:
        """The process of the lanes."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        (pid,) = [int(child) for child in children if b"scheduler.executors.http" in Path(f"/proc/{child}/cmdline").read_bytes()]
        return pid

    def _has_died(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the daemon ended: {self.log_file.read_text()[-3000:]}"
        return False


@contextlib.contextmanager
def daemon(folder: Path, jobs: str, **more: Any) -> Iterator[DaemonProcess]:
    """A daemon that is ready; it is killed at the end, if it still runs."""
    folder.mkdir(parents=True, exist_ok=True)
    running = DaemonProcess(folder, jobs, **more)
    try:
        yield running.start()
    finally:
        if running.process is not None and running.process.poll() is None:
            running.kill()
