"""
A ledger that cannot take what is handed over: waited for, or told in a sentence; what was accepted is there,
and nothing else.
"""

import importlib
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from pysqlite3 import dbapi2

from tests.support.other_process import another_process
from tests.support.postgres import a_server_of_its_own
from tests.support.small_disk import remount_read_only, with_room
from tminus.clock import SystemClock
from tminus.errors import TminusError
from tminus.flask import client, ledgers
from tminus.instants import SECOND
from tminus.ledger.engine import open_ledger
from tminus.ledger.tables import SCHEMA

_SHOP = """
from flask import Flask
from tminus.flask import Scheduler, background

app = Flask("shop")
app.testing = True
scheduler = Scheduler(app, app="shop")

@background
def work(text):
    return text

@app.post("/work")
def hand_over():
    return {"id": work.submit("a").id}
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The application as a web worker has it, and a ledger."""
    ledger = f"sqlite:///{tmp_path}/ledger.db"
    open_ledger(ledger).close()
    monkeypatch.setenv("TMINUS_LEDGER", ledger)
    yield a_shop(tmp_path)
    ledgers.ledger().close()
    sys.modules.pop("shop")


def a_shop(folder: Path) -> Any:
    """The application's module."""
    (folder / "shop.py").write_text(_SHOP)
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module("shop")
    finally:
        sys.path.remove(str(folder))


def ids(folder: Path) -> set[str]:
    """Of all that is in the ledger."""
    with dbapi2.connect(folder / "ledger.db") as ledger:
        return {identity for (identity,) in ledger.execute("SELECT id FROM runs")}


@contextmanager
def locked(folder: Path) -> Iterator[Any]:
    """Another process's write goes on and on."""
    connection = dbapi2.connect(folder / "ledger.db", isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    finally:
        connection.close()


def handed_over(shop: Any) -> str:
    """The id of work that a view has handed over."""
    return str(shop.app.test_client().post("/work").json["id"])


def refusal(shop: Any) -> TminusError:
    """What a view gets that hands over work."""
    with pytest.raises(TminusError) as raised:
        shop.app.test_client().post("/work")
    return raised.value


def test_a_ledger_that_is_locked_for_three_seconds_is_waited_for(shop: Any, tmp_path: Path) -> None:
    handed_over(shop)  # opens it
    with locked(tmp_path) as connection:
        unlock = threading.Timer(3, connection.rollback)
        unlock.start()
        accepted = handed_over(shop)
        unlock.join()
    assert accepted in ids(tmp_path)


def test_a_ledger_that_stays_locked_is_waited_for_ten_seconds_by_each_thread(
    shop: Any, tmp_path: Path
) -> None:
    def waits() -> tuple[str, float]:
        began_ns = SystemClock().monotonic_ns()
        error = refusal(shop)
        return error.message, (SystemClock().monotonic_ns() - began_ns) / SECOND

    with locked(tmp_path), ThreadPoolExecutor(4) as pool:
        said = [one.result() for one in [pool.submit(waits) for _ in range(4)]]
    assert {message for message, _ in said} == {
        f"the ledger {tmp_path}/ledger.db is held by another writer: database is locked"
    }
    waited_s = [seconds for _, seconds in said]
    assert min(waited_s) > 9.5
    assert max(waited_s) < 2 * min(waited_s)  # one after another, the last of them waits four times as long
    assert ids(tmp_path) == set()
    assert handed_over(shop) in ids(tmp_path)


def test_the_error_is_its_sentence_and_not_the_pages_that_led_to_it(shop: Any, tmp_path: Path) -> None:
    with dbapi2.connect(tmp_path / "ledger.db") as ledger:
        ledger.execute("CREATE TRIGGER no BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'not now'); END")
    error = refusal(shop)
    assert error.message == f"the ledger {tmp_path}/ledger.db does not take a value: not now"
    printed = "".join(traceback.format_exception(error))
    assert "sqlalchemy" not in printed
    assert "INSERT" not in printed


def test_a_ledger_of_an_older_schema_is_not_written_to(shop: Any, tmp_path: Path) -> None:
    with dbapi2.connect(tmp_path / "ledger.db") as ledger:
        ledger.execute("UPDATE tminus_schema SET version_num = '0003'")
    error = refusal(shop)
    assert error.message.endswith(f"has schema 0003, and this tminus needs {SCHEMA}")
    assert error.hint == "start the tminus daemon on it, of the same version as this environment's"
    with dbapi2.connect(tmp_path / "ledger.db") as ledger:
        ledger.execute("UPDATE tminus_schema SET version_num = ?", [SCHEMA])
    assert handed_over(shop) in ids(tmp_path)


def test_an_empty_ledger_is_said_to_be_empty_and_the_traceback_has_the_hint(
    shop: Any, tmp_path: Path
) -> None:
    for file in tmp_path.glob("ledger.db*"):
        file.unlink()
    (tmp_path / "ledger.db").touch(mode=0o600)
    error = refusal(shop)
    assert error.message == f"the ledger {tmp_path}/ledger.db is empty: what was in it is lost"
    hint = "restore it from a backup; for a new one, remove it, and the next start creates it"
    assert traceback.format_exception(error)[-1] == f"hint: {hint}\n"
    (tmp_path / "ledger.db").unlink()
    open_ledger(f"sqlite:///{tmp_path}/ledger.db").close()
    assert handed_over(shop) in ids(tmp_path)


def test_a_ledger_that_was_removed_is_not_written_to_unseen(shop: Any, tmp_path: Path) -> None:
    first = handed_over(shop)
    (tmp_path / "ledger.db").rename(tmp_path / "away.db")
    assert refusal(shop).message == f"the ledger {tmp_path}/ledger.db was removed or replaced"
    (tmp_path / "away.db").rename(tmp_path / "ledger.db")
    assert ids(tmp_path) == {first}
    assert handed_over(shop) in ids(tmp_path)


def fill_the_disk(pipe: Connection, folder: str) -> None:
    """
    In another process, with a small disk of its own there: hand over until it is full, then make room, then
    none at all.
    """
    room = with_room(folder)
    if room is None:
        pipe.send(None)
        return
    url = f"sqlite:///{folder}/ledger.db"
    open_ledger(url).close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMINUS_LEDGER", url)
        shop, accepted = a_shop(Path(folder)), set()
        said = ""
        while not said:
            try:
                accepted.add(handed_over(shop))
            except TminusError as error:
                said = error.message
        pipe.send((said, len(accepted), accepted == ids(Path(folder))))
        room.unlink()
        accepted.add(handed_over(shop))
        pipe.send(accepted == ids(Path(folder)))
        ledgers.ledger().close()
        remount_read_only(folder)
        pipe.send(refusal(shop).message)


def test_a_full_disk_is_named_loses_nothing_accepted_and_more_is_accepted_later(
    tmp_path: Path,
) -> None:
    with another_process(fill_the_disk, str(tmp_path)) as process:
        said = process.hears()
        if said is None:
            pytest.skip("this process may not mount a disk")
        message, accepted, are_there = said
        assert message == f"the disk of the ledger {tmp_path}/ledger.db is full"
        assert accepted > 10
        assert are_there
        assert process.hears(), "what is accepted once there is room is there, and nothing else"
        assert process.hears() == f"the file system of the ledger {tmp_path}/ledger.db is read-only"


def lose_permission(pipe: Connection, folder: str) -> None:
    """In another process, as somebody else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMINUS_LEDGER", f"sqlite:///{folder}/other.db")
        open_ledger(f"sqlite:///{folder}/other.db").close()
        shop = a_shop(Path(folder))
        handed_over(
            shop
        )  # which imports all that somebody else may not be allowed to, but for what the refusal wants
        Path(folder).group()
        patch.setenv("TMINUS_LEDGER", f"sqlite:///{folder}/ledger.db")
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        pipe.send(refusal(shop).message)


def test_without_permission_it_says_so(shop: Any, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may become somebody else")
    with another_process(lose_permission, str(tmp_path)) as process:
        assert process.hears().startswith(f"not permitted to open the ledger {tmp_path}/ledger.db")
    assert ids(tmp_path) == set()


def test_a_restarted_postgresql_is_used_again_and_one_that_is_down_is_reported(
    shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_server_of_its_own() as server:
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        open_ledger(url).close()
        monkeypatch.setenv("TMINUS_LEDGER", url)
        accepted = [handed_over(shop)]
        server.stop()
        server.start()
        accepted.append(handed_over(shop))
        server.stop()
        assert "does not work: connection" in refusal(shop).message
        server.start()
        accepted.append(handed_over(shop))
        assert all(client.get_status(one) for one in accepted)
        ledgers.ledger().close()
