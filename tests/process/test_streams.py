"""
Every command with every kind of standard streams and arguments: no traceback, and the exit status that it has
without them. Only closed streams need a process; others are given to the command in this one.
"""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.support import warm
from tests.support.daemon import DaemonProcess, eventually, tminus
from tests.support.moments import PATIENCE_S
from tminus.cli.main import main
from tminus.cli.streams import Stream

ROOT = Path(__file__).resolve().parents[2]

#: Every command but `demo` and `daemon`, which serve until they are ended; with its exit status here.
COMMANDS = {
    "validate": 0,
    "validate bad.yaml": 2,
    "next": 0,
    "next -n 4000": 0,
    "jobs": 0,
    "show pay": 0,
    "show pai": 4,
    "status": 3,
    "history": 0,
    "history --json": 0,
    "logs pay": 0,
    "skew": 4,
    "watch": 3,
    "doctor": 0,
    "schema": 0,
    "completion bash": 0,
    "run-now pay": 1,
    "run-now": 2,
    "nothing": 2,
    "--help": 0,
    "--version": 0,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a good and a bad jobs file, and a ledger in which one job has failed."""
    folder = tmp_path_factory.mktemp("streams")
    job = "  pay: {description: Grüße, schedule: {every: 1s}, http: 'http://127.0.0.1:9/pay'}\n"
    (folder / "jobs.yaml").write_text(
        f"version: 1\ntimezone: Europe/Berlin\nledger: sqlite:///{folder}/ledger.db\njobs:\n{job}"
    )
    (folder / "plain.yaml").write_text(
        "version: 1\njobs: {a: {schedule: manual, http: 'http://127.0.0.1:9/'}}\n"
    )
    (folder / "bad.yaml").write_text("version: 1\njobs: {a: {grüße: 1}}\n")
    assert run(folder, "run-now pay").returncode == 1
    return folder


def run(folder: Path, command: str, **more: object) -> "subprocess.CompletedProcess[str]":
    return warm.run(command.split(), cwd=folder, env=dict(os.environ), **more)  # type: ignore[arg-type]


#: Those that start no process.
INSIDE = [command for command in COMMANDS if command != "run-now pay"]
#: Returns the exit status and stderr of a command that writes there.
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """A command in this process, with standard streams as `tminus.cli.streams` makes them."""
    opened: list[Stream] = []

    def command(*arguments: str, stdout: BinaryIO | None = None, encoding: str = "utf-8") -> tuple[int, str]:
        stderr = io.BytesIO()
        for name, binary in (("stdout", stdout or io.BytesIO()), ("stderr", stderr)):
            opened.append(Stream(binary, encoding, "backslashreplace", line_buffering=name == "stderr"))
            monkeypatch.setattr(sys, name, opened[-1])
        try:
            status = main(arguments)
        except SystemExit as error:  # of click, for --help and --version
            status = int(error.code or 0)
        return status, stderr.getvalue().decode(encoding)

    monkeypatch.chdir(folder)
    yield command
    monkeypatch.undo()
    for stream in opened:
        stream.close()


@pytest.mark.parametrize(
    ("command", "closed"),
    [
        *((command, (0, 1, 2)) for command in ("jobs", "validate bad.yaml", "history", "watch", "--help")),
        *(("run-now pay", (0, 1, 2)), ("run-now", (0, 2))),
        *(("jobs", (closed,)) for closed in (0, 1, 2)),
    ],
    ids=str,
)
def test_closed_streams_change_no_exit_status(folder: Path, command: str, closed: tuple[int, ...]) -> None:
    said = run(folder, command, closed=closed)
    assert (said.returncode, "Traceback" in said.stderr) == (COMMANDS[command], False), said.stderr


@pytest.mark.parametrize("command", INSIDE)
def test_a_reader_that_has_gone_changes_no_exit_status(inside: Command, command: str) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    status, said = inside(*command.split(), stdout=open(writes, "wb"))  # noqa: SIM115  closed with its stream
    assert status == COMMANDS[command]
    assert not re.search("Traceback|Broken|ignored", said)


def test_a_reader_that_has_gone_changes_nothing_for_a_process_and_its_executor(folder: Path) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    try:
        said = run(folder, "run-now pay", stdout=writes)
    finally:
        os.close(writes)
    assert said.returncode == COMMANDS["run-now pay"]
    assert not re.search("Traceback|Broken|ignored", said.stderr)


@pytest.mark.parametrize(
    "command", ["jobs", "status", "next -n 4000", "schema", "--help", "validate bad.yaml"]
)
def test_a_full_disk_is_an_error(inside: Command, command: str) -> None:
    status, said = inside(*command.split(), stdout=open("/dev/full", "wb"))  # noqa: SIM115  as above
    assert (status, "Traceback" in said) == (COMMANDS[command] or 1, False)
    assert "error: cannot write the output: No space left on device" in said


def test_a_full_disk_is_an_error_of_a_process(folder: Path) -> None:
    with open("/dev/full", "wb") as full:
        said = run(folder, "jobs", stdout=full.fileno())
    assert (said.returncode, "Traceback" in said.stderr) == (1, False)
    assert "error: cannot write the output: No space left on device" in said.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin1"])
@pytest.mark.parametrize("command", [*INSIDE, "jobs --json", "validate bad.yaml --json"])
def test_an_encoding_without_our_signs(inside: Command, command: str, encoding: str) -> None:
    status, said = inside(*command.split(), encoding=encoding)
    assert (status, "Traceback" in said) == (COMMANDS[command.removesuffix(" --json")], False)


def test_an_encoding_without_our_signs_in_a_process_with_an_executor(folder: Path) -> None:
    said = run(folder, "run-now pay", encoding="ascii")
    assert (said.returncode, "Traceback" in said.stderr) == (COMMANDS["run-now pay"], False)


def test_the_schema_in_a_locale_without_utf8(folder: Path) -> None:
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "LC_ALL": "C",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONUTF8": "0",
    }
    command = [sys.executable, "-m", "tminus.cli", "schema"]
    said = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, timeout=PATIENCE_S, check=True
    )
    assert json.loads(said.stdout.decode("ascii"))


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["next", "--from=9999-12-31T23:59:59Z"], id="year-9999"),
        pytest.param(["next", "--from=9999-12-31T23:59:59-12:00"], id="year-10000"),
        pytest.param(["next", "--from=9999-12-31T23:59"], id="local-year-9999"),
        pytest.param(["next", "--to=0001-01-01T00:00"], id="year-1"),
        pytest.param(["next", "--to=0001-01-01T00:00+14:00"], id="year-0"),
        pytest.param(["run-now", "pay", "--at=0001-01-01T00:00"], id="at-year-1"),
        pytest.param(["run-now", "pay", "--at", "x" * 100_000], id="long-time"),
        pytest.param(["run-now", "pay", "--set", "x" * 100_000], id="long-pair"),
        pytest.param(["run-now", "pay", "--set", "x" * 100_000 + "=1"], id="long-key"),
        pytest.param(["next", "-n", "1" * 4_000], id="many"),
        pytest.param(["next", "-n", "1" * 5_000], id="too-many-digits"),
        pytest.param(["history", "--limit", "9" * 23], id="large-limit"),
        pytest.param(["history", "--since=2262-04-12T00:00:00Z"], id="after-64-bits"),
        pytest.param(["history", "\udcff"], id="job"),
        pytest.param(["logs", "\udcff"], id="occurrence"),
        pytest.param(["logs", "x" * 100_000 + "@"], id="long-occurrence"),
        pytest.param(["skew", "x" * 100_000], id="long-batch"),
        pytest.param(["skew", "\udcff"], id="batch"),
        pytest.param(["--ledger", "sqlite:////x/\udcff", "run-now", "pay"], id="ledger"),
        pytest.param(["-c", "\udcff", "validate"], id="file"),
        pytest.param(["-c", "/proc/self/mem", "validate"], id="file-that-cannot-be-read"),
        pytest.param(["x" * 100_000], id="command"),
    ],
)
def test_arguments_that_nobody_means_are_wrong_usage(inside: Command, arguments: list[str]) -> None:
    status, said = inside(*arguments)
    assert (status, "Traceback" in said) == (2, False), said
    assert len(said) < 1_500


def test_an_argument_of_a_process_that_is_not_utf8_is_wrong_usage(folder: Path) -> None:
    said = warm.run(["history", "\udcff"], cwd=folder, env=dict(os.environ))
    assert (said.returncode, "Traceback" in said.stderr) == (2, False), said.stderr


@pytest.mark.parametrize(
    ("command", "variable"),
    [("history", "TMINUS_LEDGER"), ("history", "XDG_STATE_HOME"), ("next", "TMINUS_CONFIG")],
)
def test_variables_that_are_not_utf8_are_wrong_usage(
    inside: Command, monkeypatch: pytest.MonkeyPatch, command: str, variable: str
) -> None:
    monkeypatch.setenv(variable, "/x/\udcff")
    if variable == "XDG_STATE_HOME":  # which is for a jobs file that names no ledger
        monkeypatch.setenv("TMINUS_CONFIG", "plain.yaml")
    status, said = inside(command)
    assert (status, "Traceback" in said) == (2, False), said


def test_a_name_that_is_no_job_is_quoted_in_part(inside: Command) -> None:
    status, said = inside("show", "x" * 100_000)
    assert status == 4
    assert len(said) < 300


def test_a_program_with_all_streams_closed(folder: Path) -> None:
    command = f"{sys.executable} -m tminus.cli next <&- >&- 2>&-"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert (
        subprocess.run(
            ["/bin/sh", "-c", command], cwd=folder, env=environment, timeout=PATIENCE_S, check=False
        ).returncode
        == 0
    )


@pytest.fixture
def deaf(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon without standard streams."""
    running = DaemonProcess(
        tmp_path, "version: 1\njobs: {a: {schedule: {every: 1s}, http: 'http://127.0.0.1:9/'}}\n"
    )
    command = " ".join((*running.command("daemon"), "<&- >&- 2>&-"))
    process = subprocess.Popen(["/bin/sh", "-c", f"exec {command}"], cwd=tmp_path, env=running.environment())
    yield process
    process.terminate()
    assert process.wait(PATIENCE_S) == 0


def test_a_daemon_with_all_streams_closed_runs_jobs(deaf: subprocess.Popen[bytes], tmp_path: Path) -> None:
    ledger = {"TMINUS_LEDGER": f"sqlite:///{tmp_path}/ledger/ledger.db"}
    eventually(lambda: "\ta\t" in tminus("history", cwd=tmp_path, env=ledger).stdout, what="a job has run")
    for descriptor in (0, 1, 2):
        assert os.readlink(f"/proc/{deaf.pid}/fd/{descriptor}") == "/dev/null"
