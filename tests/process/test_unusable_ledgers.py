"""
Every command says of a ledger that cannot be used what is wrong with it, and what to do; none changes it.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from pysqlite3 import dbapi2

from tests.support.daemon import tminus
from tests.support.ledgers import opened


def newer(path: Path) -> None:
    with opened(f"sqlite:///{path}") as ledger, ledger.write() as connection:
        connection.execute(sa.text("UPDATE tminus_schema SET version_num = '9999'"))


def foreign(path: Path) -> None:
    connection = dbapi2.connect(path)
    connection.execute("CREATE TABLE customers (name TEXT)")
    connection.close()


LEDGERS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "directory": (Path.mkdir, "is a directory", "name a file in it"),
    "text": (
        lambda path: path.write_text("not a database\n" * 100),
        "file is not a database",
        "restore it from a backup",
    ),
    "empty": (Path.touch, "is empty: what was in it is lost", "restore it from a backup"),
    "short": (
        lambda path: path.write_text("notes"),
        "is cut off: it has 5 bytes",
        "restore it from a backup",
    ),
    "newer": (newer, "has schema 9999, newer than this program's", "install the tminus that wrote it"),
    "foreign": (foreign, "is not a tminus ledger", "name another database"),
    "loop": (
        lambda path: path.symlink_to(path),
        "is a symbolic link that leads to itself",
        "name another place",
    ),
    "pipe": (os.mkfifo, "is not a file", "name another place"),
}
COMMANDS = (["status"], ["history"], ["run-now", "pay"], ["run-now", "pay", "--no-wait"], ["daemon"])


@pytest.mark.parametrize("kind", LEDGERS)
def test_a_ledger_that_cannot_be_used_is_refused_in_words(tmp_path: Path, kind: str) -> None:
    make, message, hint = LEDGERS[kind]
    path, jobs = tmp_path / "ledger.db", tmp_path / "jobs.yaml"
    jobs.write_text("version: 1\njobs: {pay: {schedule: manual, http: 'http://127.0.0.1:1/'}}\n")
    make(path)
    before = path.read_bytes() if path.is_file() else None
    for arguments in COMMANDS:
        said = tminus("-c", str(jobs), "--ledger", f"sqlite:///{path}", *arguments)
        assert (said.returncode, message in said.stderr, hint in said.stderr) == (1, True, True), (
            arguments,
            said.stderr,
        )
    examined = tminus("-c", str(jobs), "--ledger", f"sqlite:///{path}", "doctor")
    assert (examined.returncode, message in examined.stdout) == (1, True)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_without_a_ledger_there_is_no_daemon_and_nothing_to_read(tmp_path: Path) -> None:
    ledger = f"sqlite:///{tmp_path}/state/ledger.db"
    status, history = (
        tminus("--ledger", ledger, "status", cwd=tmp_path),
        tminus("--ledger", ledger, "history", cwd=tmp_path),
    )
    assert (status.returncode, "hint: tminus daemon starts one" in status.stderr) == (3, True)
    assert (history.returncode, "nothing has run yet" in history.stderr) == (1, True)
    assert not (tmp_path / "state").exists()


def test_a_ledger_below_a_file_is_no_ledger_that_comes_later(tmp_path: Path) -> None:
    (tmp_path / "notes").touch()
    for arguments in (["status"], ["history"], ["doctor"]):
        said = tminus("--ledger", f"sqlite:///{tmp_path}/notes/ledger.db", *arguments, cwd=tmp_path)
        assert (said.returncode, "Not a directory" in said.stderr + said.stdout) == (1, True)
