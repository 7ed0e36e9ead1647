"""
Keeps a daemon running like systemd: restarts it when it has ended, reads its log, and records how it ended.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.machine import ROOT
from bench.waiting import SECOND, eventually, pause

#: As `python -m`, because an installed command could be another version.
TMINUS = (sys.executable, "-m", "tminus.cli")
_READY_S = 60
_RESTART_S = 0.5
_LOOK_S = 0.05
#: The smallest size of a pipe, so that a log that is not read fills up soon.
_PIPE_BYTES = 4096
#: Time to write the stacks of all threads, before a daemon that does not end is killed.
_STACKS_S = 3
_GIVE_UP_S = 30


@dataclass(frozen=True, slots=True)
class Stop:
    """One requested end, by signal. Both times are in seconds."""

    how: str
    took_s: float
    limit_s: float
    at_ns: int


@dataclass(slots=True)
class Observed:
    """
    The observations of the keeper.

    Attributes:
        first_ready_ns: Wall clock, nanoseconds; 0 if no daemon was ever ready.
        ended: Ends that were not requested and that no fault excuses.
        excused: Number of ends that a fault excuses.
        unready: Starts that were not ready in time and that no fault excuses.
    """

    first_ready_ns: int = 0
    starts: int = 0
    stops: list[Stop] = field(default_factory=list)
    kills: int = 0
    ended: list[str] = field(default_factory=list)
    excused: int = 0
    unready: list[str] = field(default_factory=list)


class _Log:
    """Reads the log of one daemon, except while paused."""

    def __init__(self, descriptor: int, file: Path) -> None:
        self.is_ready = False
        self.may_read = threading.Event()
        self.may_read.set()
        self._descriptor = descriptor
        self._file = file
        self._thread = threading.Thread(target=self._read, name="log", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        tail = b""
        with self._file.open("ab", buffering=0) as file:
            while self.may_read.wait() and (data := os.read(self._descriptor, 1 << 16)):
                file.write(data)
                *lines, tail = (tail + data).split(b"\n")
                self.is_ready = self.is_ready or any(b'"event": "ready"' in line for line in lines)
        os.close(self._descriptor)


class Keeper:
    """
    Keeps the daemon running from `start` to `stop`. Thread-safe.

    Args:
        folder: Folder for the log.
        options: Options of each command: the jobs file and the ledger.
        environment: The complete environment of the daemon.
        grace_s: The daemon's `shutdown_grace`.
    """

    def __init__(
        self, folder: Path, options: Sequence[str], environment: Mapping[str, str], grace_s: float
    ) -> None:
        self.observed = Observed()
        self._log_file = folder / "daemon.log"
        self._options = options
        self._environment = {**environment, "TMINUS_LOG": "json", "PYTHONFAULTHANDLER": "1"}
        self._limit_s = grace_s + 5
        self._process: subprocess.Popen[bytes] | None = None
        self._log: _Log | None = None
        self._started_ns = 0
        self._lock = threading.RLock()
        self._is_wanted = False
        self._is_over = False
        self._excused_ns = {"start": 0, "run": 0}
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def start(self) -> None:
        """Start the daemon and keep it running. Return when it is ready, or after a timeout."""
        self._is_wanted = True
        self._thread.start()
        eventually(lambda: self.is_ready or self.observed.unready, timeout_s=2 * _READY_S)

    @property
    def pid(self) -> int | None:
        """The pid of the daemon; None if it is not running."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    @property
    def is_ready(self) -> bool:
        """Whether the daemon has logged that it is ready."""
        return self.pid is not None and self._log is not None and self._log.is_ready

    @property
    def log(self) -> threading.Event | None:
        """While this event is cleared, the log of the current daemon is not read."""
        return self._log.may_read if self._log else None

    def excuse(self, seconds: float, *, run: bool) -> None:
        """Excuse failed starts for this long; with `run`, also the end of a running daemon."""
        until_ns = time.monotonic_ns() + round(seconds * SECOND)
        for what in ("start", "run") if run else ("start",):
            self._excused_ns[what] = max(self._excused_ns[what], until_ns)

    def kill(self, away_s: float) -> None:
        """Kill the daemon. The next one starts after this many seconds."""
        with self._resting(away_s) as process:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
                self._process = None
                self.observed.kills += 1

    def terminate(self, away_s: float, *, twice: bool = False) -> None:
        """
        Send SIGTERM and record the duration. With `twice`, a second one follows, which ends the daemon at
        once.
        """
        with self._resting(away_s) as process:
            if process is None or process.poll() is not None:
                return
            at_ns = time.time_ns()
            began_ns = time.monotonic_ns()
            process.terminate()
            if twice and self._is_alive_after(process, 0.3):
                began_ns = time.monotonic_ns()
                process.terminate()
            limit_s = 2.0 if twice else self._limit_s
            if self._is_alive_after(process, limit_s + _GIVE_UP_S):
                process.send_signal(signal.SIGABRT)
                if self._is_alive_after(process, _STACKS_S):
                    process.kill()
                    process.wait()
            self._process = None
            took_s = (time.monotonic_ns() - began_ns) / SECOND
            self.observed.stops.append(
                Stop("a second SIGTERM" if twice else "SIGTERM", took_s, limit_s, at_ns)
            )

    def stop(self) -> None:
        """Send the last SIGTERM."""
        self.terminate(0)
        self._is_over = True
        self._thread.join()

    def close(self) -> None:
        """End everything that still runs."""
        self._is_over = True
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.kill()
                self._process.wait()

    @contextlib.contextmanager
    def _resting(self, away_s: float) -> "Iterator[subprocess.Popen[bytes] | None]":
        with self._lock:
            self._is_wanted = False
            process = self._process
        try:
            yield process
            pause(away_s)
        finally:
            self._is_wanted = not self._is_over

    @staticmethod
    def _is_alive_after(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return False
        return True

    def _keep(self) -> None:
        while not self._is_over:
            with self._lock:
                if self._is_wanted:
                    self._look()
            pause(_LOOK_S)

    def _look(self) -> None:
        if self._process is None:
            self._spawn()
        elif self._process.poll() is not None:
            self._note_end(self._process.returncode)
            self._process = None
            pause(_RESTART_S)
        elif self._log is not None and self._log.is_ready:
            self.observed.first_ready_ns = self.observed.first_ready_ns or time.time_ns()
        elif time.monotonic_ns() - max(self._started_ns, self._excused_ns["start"]) > _READY_S * SECOND:
            self.observed.unready.append(f"pid {self._process.pid} is not ready after {_READY_S} s")
            self._process.send_signal(signal.SIGABRT)
            self._started_ns = time.monotonic_ns()

    def _spawn(self) -> None:
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        command = [*TMINUS, *self._options, "daemon"]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self._environment,
            stderr=writer,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        os.close(writer)
        self._log = _Log(reader, self._log_file)
        self._started_ns = time.monotonic_ns()
        self.observed.starts += 1

    def _note_end(self, status: int) -> None:
        was_ready = self._log is not None and self._log.is_ready
        if time.monotonic_ns() < self._excused_ns["run" if was_ready else "start"]:
            self.observed.excused += 1
        else:
            state = "ready" if was_ready else "not ready yet"
            self.observed.ended.append(
                f"pid {self._process.pid if self._process else 0} ({state}) ended by itself with {status}"
            )
