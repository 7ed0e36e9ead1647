"""The program as users start it: the daemon in a process of its own, and single commands."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support import warm
from tests.support.checker import gaps, violations
from tests.support.moments import PATIENCE_S, stretched
from tests.support.new_ledgers import put_ledger
from tests.support.target import TargetServer
from tminus.clock import SystemClock
from tminus.instants import MS, SECOND, parse_rfc3339, rfc3339
from tminus.ledger import history
from tminus.ledger.changes import change_counter
from tminus.ledger.engine import Ledger, open_ledger

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


def tminus(
    *arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    environment = os.environ | {"PYTHONPATH": os.getcwd()} | (env or {})
    if warm.can_run(env or {}):
        return warm.run(arguments, cwd=cwd, env=environment)
    command = [sys.executable, "-m", "tminus.cli", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def tminus_json(*arguments: str, **more: Any) -> Any:
    """Run one command with `--json`; return the document that it prints."""
    return json.loads(tminus(*arguments, "--json", **more).stdout)


def eventually(
    check: Callable[[], Any],
    timeout_s: float = PATIENCE_S,
    what: str = "",
    instead: Callable[[], object] = lambda: "",
) -> Any:
    """
    Call `check` until it returns something truthy, and return that.

    Args:
        check: Called every 20 ms; less often if it takes long, to leave the processor to the rest.
        timeout_s: The longest wait.
        what: What is waited for, for the error.
        instead: Returns what is true instead, for the error.
    """
    until = time.monotonic() + timeout_s
    asked_ns = SystemClock.monotonic_ns()
    while not (answer := check()):
        assert time.monotonic() < until, f"never came true: {what or check}\n{instead()}"
        SystemClock.pause(max(20 * MS, 4 * (SystemClock.monotonic_ns() - asked_ns)))
        asked_ns = SystemClock.monotonic_ns()
    return answer


def stat_of(pid: int) -> list[str]:
    """Return the fields of proc_pid_stat(5) after the name: its state, its parent, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended and was not waited for does not."""
    try:
        os.kill(pid, 0)
        return stat_of(pid)[0] != "Z"
    except (OSError, IndexError):
        return False


def suspend(pid: int) -> None:
    """Stop a process (SIGSTOP). The signal returns before the process is stopped; this does not."""
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: _is_stopped(pid), what=f"process {pid} is stopped")


def _is_stopped(pid: int) -> bool:
    try:
        threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
        return all(stat_of(thread)[0] == "T" for thread in threads)
    except OSError:  # a thread has just ended
        return False


_OR_ENDS = """
try:
{code}
except BaseException:
    import os, traceback
    traceback.print_exc()
    os._exit(70)
"""


def patched(folder: Path, code: str) -> dict[str, str]:
    """
    Return the environment of a process that runs this code before anything else, as each of its child
    processes does. If the code raises, the process ends with status 70: otherwise Python would go on without
    it, and the test would test nothing.
    """
    (folder / "patch").mkdir()
    (folder / "patch" / "sitecustomize.py").write_text(_OR_ENDS.format(code=textwrap.indent(code, "    ")))
    return {"PYTHONPATH": os.pathsep.join([os.getcwd(), str(folder / "patch")])}


def lanes_of(pid: int) -> list[int]:
    """Return the processes of lanes that this process has started and that still run."""
    return children_of(pid, b"tminus.executors.http")


def children_of(pid: int, word: bytes) -> list[int]:
    """Return the processes with this word in their command that this process has started and that still run."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")  # a child is listed under the thread that made it
    with contextlib.suppress(OSError):  # one that ends meanwhile
        children = [child for task in tasks for child in task.read_text().split()]
        return [int(one) for one in children if word in Path(f"/proc/{one}/cmdline").read_bytes()]
    return []


def coming(seconds: float) -> str:
    """Return an instant this far ahead, or further on a busy machine, for `at:` and `--at`."""
    at_ns = SystemClock().wall_ns() + stretched(seconds * SECOND)
    return rfc3339(at_ns - at_ns % MS)


class StartedCommand:
    """A command that runs beside the test. The end of the `with` block kills it if it still runs."""

    def __init__(self, *arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
        environment = os.environ | {"PYTHONPATH": os.getcwd()} | (env or {})
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115  __exit__
        out, err = self._out.fileno(), self._err.fileno()
        self._process = warm.WarmProcess(arguments, cwd=cwd, env=environment, stdout=out, stderr=err)
        self.pid = self._process.pid

    def __enter__(self) -> "StartedCommand":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._out.close()
        self._err.close()

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return _content(self._out.fileno())

    @property
    def stderr(self) -> str:
        """Its messages so far."""
        return _content(self._err.fileno())

    def wait(self) -> int:
        """Wait for its end; return its exit status."""
        return self._process.wait(PATIENCE_S)

    def wait_until_it_says(self, text: str) -> None:
        """Wait for a message with this text."""
        eventually(lambda: text in self.stderr, what=f"it says {text!r}", instead=lambda: self.stderr)

    def interrupt(self) -> int:
        """Send SIGINT, and wait; return the exit status."""
        self._process.send_signal(signal.SIGINT)
        return self.wait()

    def kill(self) -> None:
        """Send SIGKILL, and wait."""
        self._process.kill()
        self._process.wait(PATIENCE_S)


def _content(descriptor: int) -> str:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode()


class DaemonProcess:
    """`tminus daemon` on a jobs file and a ledger of its own."""

    def __init__(
        self, folder: Path, jobs: str, *, ledger: str | None = None, env: dict[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.jobs_file = folder / "jobs.yaml"
        self.ledger = ledger or f"sqlite:///{folder}/ledger/ledger.db"
        self._new_ledger = None if ledger else folder / "ledger"
        self.log_file = folder / "daemon.log"
        self._env = env or {}
        self.process: subprocess.Popen[bytes] | warm.WarmProcess | None = None
        self._open_ledger: Ledger | None = None
        self._watching: Connection  #: shows at next to no cost whether the ledger has changed
        self._read: dict[str | None, tuple[int | None, list[dict[str, Any]]]] = {}
        self._log: tuple[int, list[dict[str, Any]]] = (0, [])
        self._forgotten: tuple[frozenset[str], int] = (frozenset(), 0)
        self.write(jobs)

    def write(self, jobs: str) -> None:
        """Replace the whole jobs file, atomically."""
        new = self.jobs_file.with_suffix(".new")
        new.write_text(jobs)
        new.replace(self.jobs_file)

    def start(self, *, wait: bool = True, stderr: int | None = None) -> "DaemonProcess":
        """Start the daemon and wait until it is ready. Its log goes to a file, or to this descriptor."""
        if self._new_ledger and not self._new_ledger.exists():
            put_ledger(self._new_ledger)
        ready_before = self._ready()
        with self.log_file.open("ab") as log, open(os.devnull, "wb") as null:
            err = log.fileno() if stderr is None else stderr
            if warm.can_run(self._env):
                self.process = warm.WarmProcess(
                    self.arguments("daemon"),
                    cwd=self.folder,
                    env=self.environment(),
                    stdout=null.fileno(),
                    stderr=err,
                )
            else:
                self.process = subprocess.Popen(
                    self.command("daemon"),
                    env=self.environment(),
                    cwd=self.folder,
                    stdout=null,
                    stderr=err,
                )
        if wait:
            eventually(lambda: self._ready() > ready_before or self._has_died(), what="the daemon is ready")
        return self

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of a command on this jobs file and ledger."""
        return [sys.executable, "-m", "tminus.cli", *self.arguments(*arguments)]

    def arguments(self, *arguments: str) -> list[str]:
        """Return the arguments of a command on this jobs file and ledger."""
        return [*arguments, "-c", str(self.jobs_file), "--ledger", self.ledger]

    def environment(self) -> dict[str, str]:
        """Return the environment of the daemon."""
        return os.environ | {"PYTHONPATH": os.getcwd(), "TMINUS_LOG": "json"} | self._env

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the daemon alone."""
        assert self.process is not None
        self.process.send_signal(number)

    def suspend(self) -> None:
        """Stop the daemon alone (SIGSTOP)."""
        assert self.process is not None
        suspend(self.process.pid)

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait for the end of the daemon; return its exit status."""
        assert self.process is not None
        return self.process.wait(timeout_s)

    def stop(self) -> int:
        """Send SIGTERM, and wait; return the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def has_ended(self) -> bool:
        """Return whether the process has ended."""
        assert self.process is not None
        return self.process.poll() is not None

    def kill(self) -> None:
        """Send SIGKILL, and wait."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def reload(self, jobs: str) -> None:
        """Put another jobs file into force, by SIGHUP."""
        before = len(self.said("reloaded"))
        self.write(jobs)
        self.signal(signal.SIGHUP)
        self.wait_until_said("reloaded", before + 1)

    def occurrences(self, job: str | None = None) -> list[dict[str, Any]]:
        """
        Return all occurrences in the ledger, of one job or of all, newest first, as `history --json` has them.
        """
        if self._open_ledger is None:
            self._open_ledger = open_ledger(self.ledger, create=False)
            self._watching = self._open_ledger.own_connection()
        version = None if self._watching.closed else change_counter(self._watching)
        if version is None or self._read.get(job, (None, []))[0] != version:
            rows = history.find(self._open_ledger, jobs=[job] if job else [])
            self._read[job] = (version, [one.as_json() for one in rows])
        return [one for one in self._read[job][1] if one["id"] not in self._forgotten[0]]

    def forget(self) -> None:
        """Leave out the occurrences and the log lines so far, for the next test of a shared daemon."""
        self._forgotten = frozenset(), 0
        self._forgotten = frozenset(one["id"] for one in self.occurrences()), len(self.log())

    def wait_for(self, *, rows: int = 1, job: str | None = None, **values: Any) -> list[dict[str, Any]]:
        """
        Wait until the ledger has this many occurrences with these values; return all of them. `reason` is the
        beginning of the reason.
        """
        begins = values.pop("reason", "")

        def is_it(one: dict[str, Any]) -> bool:
            return all(one[name] == value for name, value in values.items()) and (
                one["reason"] or ""
            ).startswith(begins)

        def found() -> list[dict[str, Any]]:
            these = [one for one in self.occurrences(job) if is_it(one)]
            return these if len(these) >= rows else []

        def instead() -> str:
            rows_of_it = [
                f"{one['id']}: {one['state']} {one['outcome']} {one['reason']}"
                for one in self.occurrences(job)[-20:]
            ]
            return "\n".join([*rows_of_it, *(str(line) for line in self.log()[-60:])])

        what = f"{rows} occurrences of {job or 'any job'} with {values}"
        return eventually(found, what=what, instead=instead)  # type: ignore[no-any-return]

    def wait_for_retry(self, *, attempts: int = 1) -> dict[str, Any]:
        """Wait until an occurrence with this many attempts waits for its next one; return it."""

        def found() -> list[dict[str, Any]]:
            return [
                one for one in self.occurrences() if one["next_attempt_at"] and one["attempts"] == attempts
            ]

        return eventually(found, what=f"attempt {attempts + 1} is to come")[0]  # type: ignore[no-any-return]

    def assert_all_is_well(self, target: TargetServer, *, every_s: float | None = None) -> None:
        """
        Stop, and check the ledger; with `every_s`, check also that each fire time has a row. What is claimed
        for a later T stays so for the next start.
        """
        assert self.process is not None
        stopped_ns = SystemClock().wall_ns()
        if self.process.poll() is None:
            assert self.stop() == 0
        occurrences = [
            one
            for one in self.occurrences()
            if one["state"] != "claimed" or parse_rfc3339(one["planned_at"]) <= stopped_ns
        ]
        assert violations(occurrences, target.arrivals) == []
        assert every_s is None or gaps(occurrences, every_s=every_s) == []

    def close(self) -> None:
        """Kill the daemon if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        if self._open_ledger is not None:
            self._watching.close()
            self._open_ledger.close()

    def said(self, event: str) -> list[dict[str, Any]]:
        """Return all log lines of this event so far."""
        return [line for line in self.log() if line.get("event") == event]

    def log(self) -> list[dict[str, Any]]:
        """Return the log, from the last `forget` on."""
        size = self.log_file.stat().st_size if self.log_file.exists() else 0
        if size != self._log[0]:
            lines = []
            for line in self.log_file.read_text().splitlines():
                with contextlib.suppress(ValueError):
                    lines.append(json.loads(line))
            self._log = (size, lines)
        return self._log[1][self._forgotten[1] :]

    def wait_until_said(self, event: str, times: int = 1) -> dict[str, Any]:
        """Wait for the n-th log line of this event; return it."""
        eventually(lambda: len(self.said(event)) >= times, what=f"the log says {event!r}")
        return self.said(event)[times - 1]

    def tminus(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command on this jobs file and ledger; it is not patched as the daemon may be."""
        own = {name: value for name, value in self._env.items() if warm.can_run({name: value})}
        return tminus("-c", str(self.jobs_file), "--ledger", self.ledger, *arguments, env=own)

    def beside(self, *arguments: str) -> StartedCommand:
        """Start a command on this jobs file and ledger."""
        return StartedCommand(*self.arguments(*arguments), env=self._env)

    def json(self, *arguments: str) -> Any:
        """Run a command with `--json`; return the document that it prints."""
        return json.loads(self.tminus(*arguments, "--json").stdout)

    def executor_pid(self) -> int:
        """Return the process of the lanes, once it runs."""
        (pid,) = eventually(self.executors, what="the executor is there")
        return int(pid)

    def executors(self) -> list[int]:
        """Return the processes of lanes that this daemon has started and that still run."""
        assert self.process is not None
        return lanes_of(self.process.pid)

    def _ready(self) -> int:
        return (
            len(re.findall(r'"event": "ready"|<6>ready ', self.log_file.read_text()))
            if self.log_file.exists()
            else 0
        )

    def _has_died(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the daemon ended: {self.log_file.read_text()[-3000:]}"
        return False


@contextlib.contextmanager
def daemon(folder: Path, jobs: str, **more: Any) -> Iterator[DaemonProcess]:
    """Yield a daemon that is ready; kill it at the end if it still runs."""
    folder.mkdir(parents=True, exist_ok=True)
    running = DaemonProcess(folder, jobs, **more)
    try:
        yield running.start()
    finally:
        running.close()
