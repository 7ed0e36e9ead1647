"""
The example `load_test`: Locust in a process of its own, against `word_search` under gunicorn and the daemon.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import DaemonProcess, daemon
from tests.support.web import EXAMPLES, Gunicorn, example, gunicorn
from tminus.jobsfile.load import load

pytestmark = pytest.mark.long

#: Far beyond what noise makes of a ratio on a machine that others use, too.
_LENIENT = "200"


class Target:
    """What the load goes to."""

    def __init__(self, server: Gunicorn, jobs: DaemonProcess) -> None:
        self.server = server
        self.jobs = jobs

    def load(self, *options: str) -> subprocess.CompletedProcess[str]:
        """One run with 20 users."""
        command = [
            "locust",
            "--headless",
            "--users",
            "20",
            "--spawn-rate",
            "20",
            "--host",
            self.server.url,
            *options,
        ]
        env = self.jobs.environment() | {
            "TMINUS_CONFIG": str(self.jobs.jobs_file),
            "TMINUS_LEDGER": self.jobs.ledger,
        }
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
        return subprocess.run(
            command, cwd=self.jobs.folder, env=env, capture_output=True, text=True, check=False
        )


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    """As the README starts it."""
    words, folder = example("word_search", tmp_path), example("load_test", tmp_path)
    ledger = f"sqlite:///{tmp_path}/ledger/ledger.db"
    env = {"TMINUS_LEDGER": ledger, "WORDS_DELAY": "1"}
    subprocess.run(
        [sys.executable, "-m", "flask", "--app", "word_search", "make-table"],
        cwd=words,
        env=os.environ | {"PYTHONPATH": os.getcwd()} | env,
        check=True,
    )
    with (
        daemon(folder, (folder / "jobs.yaml").read_text(), ledger=ledger, env=env) as jobs,
        gunicorn(words, "word_search:app", "--keep-alive", "60", workers=2, env=env) as server,
    ):
        yield Target(server, jobs)


def test_its_jobs_file_has_a_hundred_jobs() -> None:
    loaded = load(EXAMPLES / "load_test" / "jobs.yaml", environ={})
    assert (loaded.errors, len(loaded.definitions.jobs if loaded.definitions else {})) == ((), 100)


def test_pages_answer_while_a_hundred_jobs_run_and_both_figures_are_printed(target: Target) -> None:
    done = target.load("--quiet-seconds", "4", "--rounds", "2", "--bound", _LENIENT)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = r"^(GET /|POST /search): p95 \d+\.\d ms without jobs, \d+\.\d ms with them, ratio \d+\.\d\d, at most 200$"
    assert re.findall(figures, done.stdout, re.MULTILINE) == ["GET /", "POST /search"]
    assert "failed requests: 0\n" in done.stdout
    jobs = [one for one in target.jobs.occurrences() if one["origin"] == "manual"]
    assert (len(jobs), {one["outcome"] for one in jobs}) == (200, {"succeeded"})


def test_beyond_the_bound_it_ends_with_1(target: Target) -> None:
    done = target.load("--quiet-seconds", "4", "--rounds", "1", "--bound", "0.001", "Reader")
    assert (done.returncode, "failed requests: 0\n" in done.stdout) == (1, True), done.stdout + done.stderr
    assert "at most 0.001" in done.stdout


def test_without_jobs_to_run_it_ends_with_1_and_says_why(target: Target, tmp_path: Path) -> None:
    (tmp_path / "load_test" / "jobs.yaml").unlink()
    done = target.load("--quiet-seconds", "0", "Reader")
    assert (done.returncode, "jobs.yaml" in done.stderr) == (1, True), done.stdout + done.stderr
