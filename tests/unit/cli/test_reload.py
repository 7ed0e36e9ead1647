"""`reload`, as far as it depends on what the daemon and the ledger say."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tminus.cli import request_client
from tminus.cli.commands import reload as command
from tminus.cli.main import program
from tminus.clock import SystemClock
from tminus.ledger import instances
from tminus.ledger.engine import open_ledger
from tminus.ledger.lock import lock_of


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The instance of a daemon that takes no request. The ledger lacks the text of its configuration."""
    (tmp_path / "jobs.yaml").write_text(
        "version: 1\ntimezone: UTC\njobs: {pay: {schedule: manual, http: 'http://127.0.0.1:1/'}}\n"
    )
    url = f"sqlite:///{tmp_path}/ledger/ledger.db"
    monkeypatch.setenv("TMINUS_CONFIG", str(tmp_path / "jobs.yaml"))
    monkeypatch.setenv("TMINUS_LEDGER", url)
    ledger = open_ledger(url)
    lock = lock_of(ledger)
    assert lock.acquire()
    yield instances.register(
        ledger, kind="daemon", config_version="1a2b3c4d5e6f", now_ns=SystemClock.wall_ns()
    )
    lock.release()
    ledger.close()


@pytest.mark.usefixtures("daemon")
def test_changes_to_a_configuration_that_the_ledger_does_not_have_are_unknown() -> None:
    done = CliRunner().invoke(program, ["reload", "--plan"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (
        "job changes unknown: the ledger does not have the configuration before\nin force: 1a2b3c4d5e6f\n"
    )
    assert json.loads(CliRunner().invoke(program, ["reload", "--plan", "--json"]).stdout) == {
        "config_version": "1a2b3c4d5e6f",
        "added": [],
        "removed": [],
        "changed": {},
        "changes_known": False,
    }


@pytest.mark.usefixtures("daemon")
def test_a_request_that_is_not_taken_in_time_waits_and_the_old_configuration_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(request_client, "_TAKEN_NS", 0)
    done = CliRunner().invoke(program, ["reload"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "has not taken the request yet; it waits in the ledger\n" in done.stderr
    assert "error: the old configuration stays in force until the daemon takes the request\n" in done.stderr


def test_a_daemon_that_ends_meanwhile_is_no_daemon(monkeypatch: pytest.MonkeyPatch, daemon: str) -> None:
    def send(invocation: Any, ledger: Any, *request: Any) -> Any:
        instances.record_stop(ledger, daemon, SystemClock.wall_ns())
        return request_client.send(invocation, ledger, *request)

    monkeypatch.setattr(command, "send", send)
    done = CliRunner().invoke(program, ["reload"])
    assert (done.exit_code, done.stdout) == (3, "")
    assert "the request waits until one starts\nerror: no daemon on this ledger\n" in done.stderr
