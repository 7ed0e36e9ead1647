"""
Users of the daemon during a fault round: a web worker that submits, and commands. Both record what was
accepted.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from bench.machine import ROOT
from bench.torture.jobs import MANUAL
from bench.torture.keeper import TMINUS
from bench.torture.witness import facts
from bench.waiting import SECOND, pause

_COMMAND_S = 90
_NEXT_COMMAND_S = (2.0, 6.0)
_LOOKS = (
    ("history", "--limit", "50"),
    ("status",),
    ("validate",),
    ("next",),
    ("jobs",),
    ("skew",),
    ("logs", "get_0"),
)
#: Allowed exit statuses of a command, whatever happens around it.
_STATUSES = range(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNow:
    """
    One `run-now` that has ended.

    Attributes:
        tag: A parameter of its occurrences, and of no others.
        is_acknowledged: The command has confirmed the runs, with their time or their outcomes.
    """

    tag: str
    jobs: Sequence[str]
    status: int
    is_acknowledged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """One run that `submit` has accepted."""

    number: int
    occurrence: str
    is_poison: bool


class Commands:
    """
    Runs commands until stopped. Thread-safe.

    Args:
        folder: Folder for the output of commands, one line each.
        options: Options of each command: the jobs file and the ledger.
        environment: The complete environment of each command.
    """

    def __init__(
        self, folder: Path, options: Sequence[str], environment: Mapping[str, str], random: Random
    ) -> None:
        self.run_nows: list[RunNow] = []
        self.wrong: list[str] = []  #: tracebacks, and undocumented exit statuses
        self.overdue = 0  #: commands that had to be killed
        self.count = 0
        self._file = (folder / "commands").open("a", buffering=1, encoding="utf-8")
        self._options = options
        self._environment = environment
        self._random = random
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._go_on, name="commands", daemon=True)

    def start(self) -> None:
        """Start to run commands, one after another."""
        self._thread.start()

    def stop(self) -> None:
        """Start no further commands. Return when the last one has ended."""
        self._over.set()
        self._thread.join()
        self._file.close()

    def burst(self, random: Random) -> None:
        """Run several commands at once."""
        seeds = [Random(random.random()) for _ in range(5)]
        threads = [
            threading.Thread(target=self._one, args=(seed,), name="command", daemon=True) for seed in seeds
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _go_on(self) -> None:
        while not self._over.wait(self._random.uniform(*_NEXT_COMMAND_S)):
            self._one(self._random)

    def _one(self, random: Random) -> None:
        if random.random() < 0.5:
            jobs = random.choice([MANUAL, MANUAL[:1], MANUAL[1:]])
            self._run_now(jobs, *random.choice([[], [], ["--no-wait"]]))
        else:
            self._run(*random.choice(_LOOKS))

    def _run_now(self, jobs: Sequence[str], *options: str) -> None:
        tag = f"{time.time_ns()}-{threading.get_ident() % 1000}"
        status, output, said = self._run("run-now", *jobs, "--set", f"tag={tag}", *options)
        has_said_when = any(line.startswith("T ") for line in said.splitlines())
        is_acknowledged = status == 0 or b'"id"' in output or has_said_when
        run_now = RunNow(tag=tag, jobs=jobs, status=status, is_acknowledged=is_acknowledged)
        with self._lock:
            self.run_nows.append(run_now)

    def _run(self, *words: str) -> tuple[int, bytes, str]:
        command = [*TMINUS, *self._options, "--json", *words]
        began_ns = time.monotonic_ns()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            output, errors = process.communicate(timeout=_COMMAND_S)
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
            self.overdue += 1
        took_s = (time.monotonic_ns() - began_ns) / SECOND
        said = errors.decode(errors="replace")
        fact = {
            "at_ns": time.time_ns(),
            "words": words,
            "status": process.returncode,
            "took_s": took_s,
            "stderr": said[-2000:],
        }
        with self._lock:
            self.count += 1
            self._file.write(json.dumps({**fact, "stdout": output[-300:].decode(errors="replace")}) + "\n")
            if "Traceback (most recent call last)" in said or process.returncode not in (
                *_STATUSES,
                -signal.SIGKILL,
            ):
                self.wrong.append(f"{' '.join(words)} ended with {process.returncode}: {said.strip()[-300:]}")
        return process.returncode, output, said


class Submitter:
    """
    A web worker that submits four times per second until stopped. It is restarted after a kill.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._file = folder / "accepted"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._next = 0

    def start(self) -> None:
        """Start the worker, with new numbers."""
        self._next += 1_000_000
        code = "from bench.peers.tortured import submit_until_stopped as go; go()"
        environment = {**self._environment, "PYTHONPATH": str(ROOT)}
        with self._file.with_name("submitter.log").open("ab") as log:
            command = [sys.executable, "-c", code, str(self._next)]
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stderr=log, stdout=log
            )

    def kill(self) -> None:
        """Kill the worker at any moment."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> None:
        """End the worker after it has recorded its last submit."""
        pause(0)
        self.kill()

    def accepted(self) -> list[Submitted]:
        """Return all accepted runs."""
        return [
            Submitted(number=each["number"], occurrence=each["occurrence"], is_poison=each["is_poison"])
            for each in facts(self._file)
            if "occurrence" in each
        ]

    def refused(self) -> int:
        """Return how many submits raised."""
        return sum("refused" in each for each in facts(self._file))
