"""tminus as users start it: a jobs file, a ledger of its own, `tminus daemon`, and what its commands say afterwards."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.machine import ROOT
from bench.waiting import SECOND, eventually

_READY_S = 120.0
_STOP_S = 60.0
_NOT_OURS = ("TMINUS_", "PYTHONDONTWRITEBYTECODE")
#: As `python -m`: under another root's checkout, an installed command could be another version.
_TMINUS = (sys.executable, "-m", "scheduler.cli")


class DaemonFailed(Exception):
    """It did not do what it was started for; the message is the end of its log."""


class TooSlow(DaemonFailed):
    """It has not said something in time."""


class Daemon:
    """
    A daemon in a folder of its own.

    Args:
        jobs: The jobs file.
        inside: The command that puts another into the right network namespace.
        environment: Beside ours.
    """

    def __init__(self, folder: Path, jobs: str, *, inside: Sequence[str] = (), **environment: str) -> None:
        self._folder, self._inside = folder, inside
        self._log_file = folder / "daemon.log"
        (folder / "jobs.yaml").write_text(jobs)
        self._ledger_file = folder / "ledger" / "ledger.db"
        self.ledger = f"sqlite:///{self._ledger_file}"
        self._options = ["--config", str(folder / "jobs.yaml"), "--ledger", self.ledger]
        # An installed program is already compiled. So what is started here keeps what it compiles, even if this process does not.
        ours = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
        self._environment = ours | environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the daemon itself."""
        if self._process is None:
            raise DaemonFailed("it was not started")
        return self._process.pid

    def start(self, *, timeout_s: float = _READY_S) -> None:
        """
        Start it and wait until it says that it is ready.

        Raises:
            DaemonFailed: it ends.
            TooSlow: it is not ready in time.
        """
        environment = self._environment | {"TMINUS_LOG": "json"}
        with self._log_file.open("wb") as log:  # that of an earlier start would be ready already
            self._process = subprocess.Popen(
                [*self._inside, *_TMINUS, *self._options, "daemon"],
                cwd=ROOT,
                env=environment,
                stderr=log,
                stdout=subprocess.DEVNULL,
            )
        self.wait_for("ready", timeout_s=timeout_s)

    def wait_for(self, event: str, *, timeout_s: float, **fields: object) -> dict[str, Any]:
        """
        The first line of the log with that event and those fields.

        Raises:
            DaemonFailed: it has ended.
            TooSlow: there is none in that time.
        """

        def found() -> dict[str, Any] | None:
            for line in self.log():
                if line.get("event") == event and fields.items() <= line.items():
                    return line
            if self._process is None or self._process.poll() is not None:
                raise DaemonFailed(f"tminus daemon ended: {self._end_of_log()}")
            return None

        line = eventually(found, timeout_s=timeout_s, every_s=0.1)
        if line is None:
            raise TooSlow(f"never said {event!r}: {self._end_of_log()}")
        return line

    def claimed(self, t_ns: int) -> int:
        """How many occurrences with that T are in the ledger; looks into its file, since a command takes too long to start."""
        return self._count("planned_at_ns = ?", t_ns)

    def succeeded(self, job: str) -> int:
        """How many runs of that job have."""
        return self._count("job = ? AND outcome = 'succeeded'", job)

    def background_runs(self) -> dict[str, tuple[str | None, int, str | None]]:
        """Outcome, attempts and result of each, by its id; from the ledger's file, as above."""
        query = "SELECT runs.id, outcome, attempts, result FROM runs JOIN occurrences ON occurrences.id = runs.occurrence"
        with contextlib.closing(sqlite3.connect(f"file:{self._ledger_file}?mode=ro", uri=True)) as ledger:
            return {identity: (outcome, attempts, result) for identity, outcome, attempts, result in ledger.execute(query)}

    def log(self) -> Iterator[dict[str, Any]]:
        """The lines of its log so far, since the last start."""
        for line in self._log_file.read_text().splitlines():
            with contextlib.suppress(ValueError):
                yield json.loads(line)

    def stop(self) -> int:
        """SIGTERM, and wait; returns the exit status."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.returncode

    def kill(self) -> None:
        """End it at once: asked to stop, it would still start what is due soon."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def ask(self, *words: str) -> Any:
        """What a command prints with `--json`; it reads the ledger, a daemon need not run."""
        done = self.run("--json", *words)
        if not done.stdout:
            raise DaemonFailed(f"tminus {' '.join(words)}: {done.stderr[-500:]}")
        return json.loads(done.stdout)

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run one command to its end."""
        command = [*_TMINUS, *self._options, *words]
        return subprocess.run(command, cwd=ROOT, env=self._environment, capture_output=True, text=True, check=False)

    def _count(self, where: str, value: object) -> int:
        with contextlib.closing(sqlite3.connect(f"file:{self._ledger_file}?mode=ro", uri=True)) as ledger:
            found = ledger.execute(f"SELECT count(*) FROM occurrences WHERE {where}", (value,)).fetchone()  # noqa: S608  ours
        return int(found[0])

    def _end_of_log(self) -> str:
        return self._log_file.read_text()[-1500:].strip()


@contextlib.contextmanager
def daemon(jobs: str, *, inside: Sequence[str] = (), **environment: str) -> Iterator[Daemon]:
    """A daemon that is not started yet; it and its folder are gone afterwards. As for `Daemon`."""
    with tempfile.TemporaryDirectory(prefix="tminus-bench-") as folder:
        one = Daemon(Path(folder), jobs, inside=inside, **environment)
        try:
            yield one
        finally:
            one.stop()


def jobs_text(
    urls: Sequence[str],
    schedule: Mapping[str, object],
    *,
    priority: str = "auto",
    ca: Path | None = None,
    apps: Mapping[str, object] | None = None,
    others: Mapping[str, object] | None = None,
    **more: object,
) -> str:
    """
    A jobs file with a job for each URL, all on one schedule. JSON is YAML, too.

    Args:
        ca: The authority to trust.
        apps: As in the file.
        others: Jobs beside those.
        more: What each job for a URL has beside its schedule and target.
    """
    http: dict[str, object] = {"tls": {"ca": str(ca)}} if ca else {}
    jobs = {f"job_{index}": {"schedule": dict(schedule), "http": {"url": url, **http}, **more} for index, url in enumerate(urls)}
    file = {
        "version": 1,
        "timezone": "UTC",
        "daemon": {"priority": priority},
        "apps": apps or {},
        "jobs": jobs | dict(others or {}),
    }
    return json.dumps(file, indent=1)


def at(t_ns: int) -> str:
    """A whole second as the jobs file and the log write it."""
    return datetime.fromtimestamp(t_ns // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
