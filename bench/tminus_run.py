"""
tminus as users run it: a jobs file, a ledger of its own, `tminus daemon`, and the output of its commands.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pysqlite3 import dbapi2

from bench.machine import ROOT
from bench.waiting import SECOND, eventually

_READY_S = 120.0
_STOP_S = 60.0
_NOT_OURS = ("TMINUS_", "PYTHONDONTWRITEBYTECODE")
#: As `python -m`, because an installed command could belong to another checkout.
_TMINUS = (sys.executable, "-m", "tminus.cli")


class DaemonFailed(Exception):
    """The daemon failed. The message is the end of its log."""


class TooSlow(DaemonFailed):
    """The daemon did not log an event in time."""


class Daemon:
    """
    A daemon in a folder of its own.

    Args:
        jobs: Text of the jobs file.
        inside: Command prefix that enters the network namespace.
        ledger: The URL of its ledger; by default a file in the folder.
        environment: Environment variables besides those of this process.
    """

    def __init__(
        self, folder: Path, jobs: str, *, inside: Sequence[str] = (), ledger: str = "", **environment: str
    ) -> None:
        self._folder, self._inside = folder, inside
        self._log_file = folder / "daemon.log"
        (folder / "jobs.yaml").write_text(jobs)
        self._ledger_file = folder / "ledger" / "ledger.db"
        self.ledger = ledger or f"sqlite:///{self._ledger_file}"
        self._options = ["--config", str(folder / "jobs.yaml"), "--ledger", self.ledger]
        # An installed program is already compiled. So processes that are started here store their bytecode,
        # even if this process does not.
        ours = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
        self._environment = ours | environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The pid of the daemon."""
        if self._process is None:
            raise DaemonFailed("it was not started")
        return self._process.pid

    def start(self, *, timeout_s: float = _READY_S) -> None:
        """
        Start the daemon and wait until it is ready.

        Raises:
            DaemonFailed: the daemon ended.
            TooSlow: the daemon was not ready in time.
        """
        self.launch()
        self.wait_for("ready", timeout_s=timeout_s)

    def launch(self) -> None:
        """Start the daemon. Return at once."""
        environment = self._environment | {"TMINUS_LOG": "json"}
        with self._log_file.open("wb") as log:  # an old log would already contain "ready"
            self._process = subprocess.Popen(
                [*self._inside, *_TMINUS, *self._options, "daemon"],
                cwd=ROOT,
                env=environment,
                stderr=log,
                stdout=subprocess.DEVNULL,
            )

    def status_within(self, seconds: float) -> int | None:
        """Wait this long for the end of the daemon. Return its exit status; None if it still runs."""
        if self._process is None:
            raise DaemonFailed("it was not started")
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def wait_for(self, event: str, *, timeout_s: float, **fields: object) -> dict[str, Any]:
        """
        Wait for a log line with this event and these fields. Return the first one.

        Raises:
            DaemonFailed: the daemon ended.
            TooSlow: there was no such line in time.
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
            raise TooSlow(f"never logged {event!r}: {self._end_of_log()}")
        return line

    def claimed(self, t_ns: int) -> int:
        """
        Return how many occurrences with this T are in the ledger. Reads its file, because a command takes too
        long to start.
        """
        return self._count("planned_at_ns = ?", t_ns)

    def succeeded(self, job: str) -> int:
        """Return how many runs of a job have succeeded."""
        return self._count("job = ? AND outcome = 'succeeded'", job)

    def background_runs(self) -> dict[str, tuple[str | None, int, str | None]]:
        """Return outcome, attempts and result of each background run by id. Reads the ledger's file."""
        query = (
            "SELECT runs.id, outcome, attempts, result FROM runs JOIN occurrences ON occurrences.id = "
            "runs.occurrence"
        )
        with contextlib.closing(dbapi2.connect(f"file:{self._ledger_file}?mode=ro", uri=True)) as ledger:
            return {
                identity: (outcome, attempts, result)
                for identity, outcome, attempts, result in ledger.execute(query)
            }

    def waiting_for_code(self) -> int:
        """Return how many background runs wait for newer code of their application."""
        return self._count("state = ? AND reason IS NOT NULL AND outcome IS NULL", "queued")

    def rows(self) -> list[dict[str, Any]]:
        """Return the columns of each occurrence. Reads the ledger's file."""
        with contextlib.closing(dbapi2.connect(f"file:{self._ledger_file}?mode=ro", uri=True)) as ledger:
            ledger.row_factory = dbapi2.Row
            return [dict(row) for row in ledger.execute("SELECT * FROM occurrences ORDER BY fire_time_ns")]

    def log(self) -> Iterator[dict[str, Any]]:
        """Return the lines of the log since the last start."""
        for line in self._log_file.read_text().splitlines():
            with contextlib.suppress(ValueError):
                yield json.loads(line)

    def stop(self) -> int:
        """Send SIGTERM and wait. Return the exit status."""
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
        """Kill the daemon. After SIGTERM it would still start jobs that are due soon."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def ask(self, *words: str) -> Any:
        """Return the `--json` output of a command that reads the ledger. The daemon need not run."""
        done = self.run("--json", *words)
        if not done.stdout:
            raise DaemonFailed(f"tminus {' '.join(words)}: {done.stderr[-500:]}")
        return json.loads(done.stdout)

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run one command to its end."""
        command = [*_TMINUS, *self._options, *words]
        return subprocess.run(
            command, cwd=ROOT, env=self._environment, capture_output=True, text=True, check=False
        )

    def _count(self, where: str, value: object) -> int:
        with contextlib.closing(dbapi2.connect(f"file:{self._ledger_file}?mode=ro", uri=True)) as ledger:
            found = ledger.execute(f"SELECT count(*) FROM occurrences WHERE {where}", (value,)).fetchone()  # noqa: S608  ours
        return int(found[0])

    def _end_of_log(self) -> str:
        return self._log_file.read_text()[-1500:].strip()


@contextlib.contextmanager
def daemon(jobs: str, *, inside: Sequence[str] = (), **environment: str) -> Iterator[Daemon]:
    """
    Yield a daemon that is not started. It and its folder are removed afterwards. Arguments as for `Daemon`.
    """
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
    Return a jobs file with one job per URL, all with one schedule. It is JSON, which is also YAML.

    Args:
        ca: The authority to trust.
        apps: As in the jobs file.
        others: Further jobs.
        more: Keys of each job for a URL, besides schedule and target.
    """
    http: dict[str, object] = {"tls": {"ca": str(ca)}} if ca else {}
    jobs = {
        f"job_{index}": {"schedule": dict(schedule), "http": {"url": url, **http}, **more}
        for index, url in enumerate(urls)
    }
    file = {
        "version": 1,
        "timezone": "UTC",
        "daemon": {"priority": priority},
        "apps": apps or {},
        "jobs": jobs | dict(others or {}),
    }
    return json.dumps(file, indent=1)


def at(t_ns: int) -> str:
    """Format a whole second as in the jobs file and the log."""
    return datetime.fromtimestamp(t_ns // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
