"""The program as users start it: the daemon in a process of its own, and single commands."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from scheduler.clock import SystemClock
from scheduler.instants import MS, SECOND, rfc3339
from scheduler.ledger import history
from scheduler.ledger.engine import Ledger, open_ledger
from tests.support import warm
from tests.support.checker import gaps, violations
from tests.support.moments import stretched
from tests.support.target import TargetServer

#: Only what never comes is waited for so long.
PATIENCE_S = 240.0


def tminus(*arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    environment = os.environ | {"PYTHONPATH": os.getcwd()} | (env or {})
    if not any(name.startswith("PYTHON") for name in env or {}):  # which an interpreter looks at when it starts
        return warm.run(arguments, cwd=cwd, env=environment)
    command = [sys.executable, "-m", "scheduler.cli", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def tminus_json(*arguments: str, **more: Any) -> Any:
    """The one document that a command prints with `--json`."""
    return json.loads(tminus(*arguments, "--json", **more).stdout)


def eventually(
    check: Callable[[], Any], timeout_s: float = PATIENCE_S, what: str = "", instead: Callable[[], object] = lambda: ""
) -> Any:
    """Ask again and again, until the answer is truthy; returns it. If it never is, the error says `what`, and `instead` of it."""
    until = time.monotonic() + timeout_s
    while not (answer := check()):
        assert time.monotonic() < until, f"never came true: {what or check}\n{instead()}"
        threading.Event().wait(0.02)
    return answer


def stat_of(pid: int) -> list[str]:
    """Return the fields of proc_pid_stat(5) after the name: its state, its parent, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and not only its remains."""
    try:
        os.kill(pid, 0)
        return stat_of(pid)[0] != "Z"
    except (OSError, IndexError):
        return False


def patched(folder: Path, code: str) -> dict[str, str]:
    """Return the environment of a process that runs this code before anything else, as each of its child processes does."""
    (folder / "patch").mkdir()
    (folder / "patch" / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": os.pathsep.join([os.getcwd(), str(folder / "patch")])}


def lanes_of(pid: int) -> list[int]:
    """The processes of lanes that this process has started and that are there now."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")  # a child is listed under the thread that made it
    with contextlib.suppress(OSError):  # one that ends meanwhile
        children = [child for task in tasks for child in task.read_text().split()]
        return [int(one) for one in children if b"scheduler.executors.http" in Path(f"/proc/{one}/cmdline").read_bytes()]
    return []


def coming(seconds: float) -> str:
    """An instant that far ahead, or further on a busy machine, for `at:` and `--at`."""
    at_ns = SystemClock().wall_ns() + stretched(seconds * SECOND)
    return rfc3339(at_ns - at_ns % MS)


class DaemonProcess:
    """`tminus daemon` on a jobs file and a ledger of its own."""

    def __init__(self, folder: Path, jobs: str, *, ledger: str | None = None, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.jobs_file = folder / "jobs.yaml"
        self.ledger = ledger or f"sqlite:///{folder}/ledger/ledger.db"
        self.log_file = folder / "daemon.log"
        self._env = env or {}
        self.process: subprocess.Popen[bytes] | None = None
        self._open_ledger: Ledger | None = None
        self.write(jobs)

    def write(self, jobs: str) -> None:
        """Replace the jobs file, whole."""
        new = self.jobs_file.with_suffix(".new")
        new.write_text(jobs)
        new.replace(self.jobs_file)

    def start(self, *, wait: bool = True, stderr: int | None = None) -> "DaemonProcess":
        """Start it, its log to a file or to that descriptor, and wait until it is ready."""
        command, environment = self.command("daemon"), self.environment()
        ready_before = self._ready()
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment, cwd=self.folder, stderr=log if stderr is None else stderr, stdout=subprocess.DEVNULL
            )
        if wait:
            eventually(lambda: self._ready() > ready_before or self._has_died(), what="the daemon is ready")
        return self

    def command(self, *arguments: str) -> list[str]:
        """How a command on this jobs file and ledger is started."""
        return [sys.executable, "-m", "scheduler.cli", *arguments, "-c", str(self.jobs_file), "--ledger", self.ledger]

    def environment(self) -> dict[str, str]:
        """That of the daemon."""
        return os.environ | {"PYTHONPATH": os.getcwd(), "TMINUS_LOG": "json"} | self._env

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

    def has_ended(self) -> bool:
        """Whether its process is gone."""
        assert self.process is not None
        return self.process.poll() is not None

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def reload(self, jobs: str) -> None:
        """Other jobs from now on, by SIGHUP."""
        before = len(self.said("reloaded"))
        self.write(jobs)
        self.signal(signal.SIGHUP)
        self.wait_until_said("reloaded", before + 1)

    def occurrences(self, job: str | None = None) -> list[dict[str, Any]]:
        """All that the ledger has, of this job or of any, the newest first, in the shape of `history --json`."""
        if self._open_ledger is None:
            self._open_ledger = open_ledger(self.ledger, create=False)
        return [one.as_json() for one in history.find(self._open_ledger, jobs=[job] if job else [])]

    def wait_for(self, *, rows: int = 1, job: str | None = None, **values: Any) -> list[dict[str, Any]]:
        """Wait until the ledger has so many occurrences with these values; of a reason its beginning counts."""
        begins = values.pop("reason", "")

        def is_it(one: dict[str, Any]) -> bool:
            return all(one[name] == value for name, value in values.items()) and (one["reason"] or "").startswith(begins)

        def found() -> list[dict[str, Any]]:
            these = [one for one in self.occurrences(job) if is_it(one)]
            return these if len(these) >= rows else []

        def instead() -> str:
            rows_of_it = [f"{one['id']}: {one['state']} {one['outcome']} {one['reason']}" for one in self.occurrences(job)[-20:]]
            return "\n".join([*rows_of_it, *(str(line) for line in self.log()[-60:])])

        what = f"{rows} occurrences of {job or 'any job'} with {values}"
        return eventually(found, what=what, instead=instead)  # type: ignore[no-any-return]

    def assert_all_is_well(self, target: TargetServer, *, every_s: float | None = None) -> None:
        """Stop, and let the checker judge; with `every_s` no fire time of any job may be without a row."""
        assert self.process is not None
        if self.process.poll() is None:
            assert self.stop() == 0
        occurrences = self.occurrences()
        assert violations(occurrences, target.arrivals) == []
        assert every_s is None or gaps(occurrences, every_s=every_s) == []

    def close(self) -> None:
        """End what still runs."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        if self._open_ledger is not None:
            self._open_ledger.close()

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
        return tminus("-c", str(self.jobs_file), "--ledger", self.ledger, *arguments, env=self._env)

    def json(self, *arguments: str) -> Any:
        """What a command prints with `--json`."""
        return json.loads(self.tminus(*arguments, "--json").stdout)

    def executor_pid(self) -> int:
        """The process of the lanes."""
        (pid,) = eventually(self.executors, what="the executor is there")
        return int(pid)

    def executors(self) -> list[int]:
        """The processes of lanes that this daemon has started and that are there now."""
        assert self.process is not None
        return lanes_of(self.process.pid)

    def _ready(self) -> int:
        return len(re.findall(r'"event": "ready"|<6>ready ', self.log_file.read_text())) if self.log_file.exists() else 0

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
        running.close()
