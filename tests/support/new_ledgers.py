"""New ledgers, empty. Their migrations run once per process of tests, and not once per test."""

import atexit
import functools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.support.postgres import a_schema_of_its_own
from tminus.ledger.engine import Ledger, open_ledger

_CHANGES = ("CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE")


def put_ledger(folder: Path) -> None:
    """Put one into `ledger.db` in this folder, which only its user can read afterwards."""
    shutil.copytree(_migrated_folder(), folder, dirs_exist_ok=True)


def new_ledger(folder: Path) -> Ledger:
    """Return one in `ledger.db` in this folder, open. The caller closes it."""
    put_ledger(folder)
    return open_ledger(f"sqlite:///{folder}/ledger.db")


@contextmanager
def ledger_in_a_file(folder: Path) -> Iterator[Ledger]:
    """One in `ledger/ledger.db` below this folder, open."""
    ledger = new_ledger(folder / "ledger")
    yield ledger
    ledger.close()


@contextmanager
def ledger_on_postgresql() -> Iterator[Ledger]:
    """One in a schema of its own, open; it is dropped at the end."""
    with a_schema_of_its_own(_migrations()) as url:
        ledger = open_ledger(url)
        yield ledger
        ledger.close()


@functools.cache
def _migrated_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tminus-ledger-"))
    atexit.register(shutil.rmtree, folder)
    open_ledger(f"sqlite:///{folder}/ledger/ledger.db").close()
    return folder / "ledger"


@functools.cache
def _migrations() -> str:
    """All statements that change something while a ledger is created."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.lstrip().upper().startswith(_CHANGES):
            assert not parameters, statement
            statements.append(statement)

    with a_schema_of_its_own() as url:
        sa.event.listen(sa.Engine, "before_cursor_execute", note)
        try:
            open_ledger(url).close()
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", note)
    return ";\n".join(statements)
