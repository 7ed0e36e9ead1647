"""`flask tminus …`: the exit status and the errors are those of `tminus`, and no traceback."""

import importlib
import io
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tminus import crash_points
from tminus.cli.in_flask import tminus
from tminus.cli.streams import Stream


@pytest.fixture(autouse=True)
def jobs_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A jobs file without applications, found by its variable."""
    file = tmp_path / "jobs.yaml"
    file.write_text(
        "version: 1\ntimezone: UTC\njobs: {sync: {schedule: {every: 1s}, http: 'http://127.0.0.1:1/'}}\n"
    )
    monkeypatch.setenv("TMINUS_CONFIG", str(file))
    monkeypatch.setenv("TMINUS_LEDGER", f"sqlite:///{tmp_path}/ledger/ledger.db")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--json", "next", "sync", "-n", "1"], 0, '"job": "sync"'),
        (["run-now", "snc"], 4, "error: no job 'snc'; did you mean 'sync'?"),
        (["next", "--from", "never"], 2, "error: 'never' is not a time"),
        (["jobs", "--jsn"], 2, "No such option"),
    ],
)
def test_a_command_has_the_exit_status_that_it_has_without_flask(
    arguments: list[str], status: int, said: str
) -> None:
    done = CliRunner().invoke(tminus, arguments)
    assert done.exit_code == status
    assert said in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("arguments", [["jobs"], ["--help"]])
def test_an_environment_that_is_not_valid_is_an_error_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    def import_module(_name: str) -> None:
        crash_points.from_environment({crash_points.VARIABLE: "armed:0"})

    monkeypatch.setattr(importlib, "import_module", import_module)
    done = CliRunner().invoke(tminus, arguments)
    said = "Error: $TMINUS_CRASH_AT: '0' is not a positive number of passages\n  hint: such as armed:1\n"
    assert (done.exit_code, done.output.endswith(said)) == (2, True)


@pytest.mark.parametrize("arguments", [["jobs"], ["next", "--help"]])
def test_a_full_disk_is_an_error(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    stderr = io.BytesIO()
    with (
        Stream(open("/dev/full", "wb"), "utf-8", "backslashreplace") as stdout,
        Stream(stderr, "utf-8", "backslashreplace", line_buffering=True) as messages,
        monkeypatch.context() as patch,
    ):
        patch.setattr(sys, "stdout", stdout)
        patch.setattr(sys, "stderr", messages)
        with pytest.raises(SystemExit) as raised:
            tminus.main(arguments, standalone_mode=True)
        said = stderr.getvalue().decode()
    assert (raised.value.code, "Traceback" in said) == (1, False)
    assert "error: cannot write the output: No space left on device" in said
