"""A SQLite ledger as a file: its modes, and the messages if it cannot be opened."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ledgers import an_instance, opened, run_batch
from tminus.errors import LedgerError
from tminus.ledger import history
from tminus.ledger.engine import open_ledger
from tminus.ledger.lock import lock_of


def refusal(path: Path, *, create: bool = True) -> LedgerError:
    with pytest.raises(LedgerError) as refused:
        open_ledger(f"sqlite:///{path}", create=create)
    return refused.value


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


@pytest.fixture(params=[0o000, 0o022, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever whoever starts us has set."""
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_a_new_ledger_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.db"
    with opened(f"sqlite:///{path}") as ledger:
        lock = lock_of(ledger)
        assert lock.acquire()
        an_instance(ledger)
        assert {file.name: mode(file) for file in path.parent.iterdir()} == {
            "ledger.db": "0o600",
            "ledger.db-wal": "0o600",
            "ledger.db-shm": "0o600",
            "ledger.db.lock": "0o600",
        }
        assert mode(path.parent) == "0o700"
        lock.release()


def test_folders_above_it_are_made(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/a/b/c/ledger.db"):
        assert (tmp_path / "a/b/c/ledger.db").is_file()


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o755)
    with opened(f"sqlite:///{tmp_path}/mine/ledger.db"):
        assert mode(tmp_path / "mine") == "0o755"


@pytest.mark.parametrize("create", [True, False])
def test_an_empty_file_is_refused_and_stays_empty(tmp_path: Path, create: bool) -> None:
    path = tmp_path / "ledger.db"
    path.touch()
    error = refusal(path, create=create)
    assert error.message == f"the ledger {path} is empty: what was in it is lost"
    assert error.hint == "restore it from a backup; for a new one, remove it, and the next start creates it"
    assert [(file.name, file.stat().st_size) for file in tmp_path.iterdir()] == [("ledger.db", 0)]


@pytest.mark.parametrize("length", [1, 100, 4096, 20_000])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "ledger.db"
    with opened(f"sqlite:///{path}") as ledger:
        run_batch(ledger, [0.5])
    os.truncate(path, length)
    assert re.search("is not a tminus ledger, or is (damaged|cut off)", refusal(path).message)
    assert path.stat().st_size == length


def test_what_is_left_of_a_removed_ledger_is_no_part_of_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with opened(f"sqlite:///{path}") as ledger:
        run_batch(ledger, [0.5])
        (tmp_path / "kept").write_bytes((tmp_path / "ledger.db-wal").read_bytes())
    path.unlink()
    (tmp_path / "kept").rename(tmp_path / "ledger.db-wal")
    (tmp_path / ".ledger.db.new").write_text("of a process that was killed")
    with opened(f"sqlite:///{path}") as ledger:
        assert history.find(ledger) == []
    assert {file.name for file in tmp_path.iterdir()} == {"ledger.db"}


def test_a_reader_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with opened(f"sqlite:///{path}") as ledger, ledger.own_connection() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=DELETE")
    before = path.read_bytes()
    ledger = open_ledger(f"sqlite:///{path}", create=False, upgrade=False)
    assert history.find(ledger) == []
    ledger.close()
    assert path.read_bytes() == before


def test_a_link_leads_to_the_ledger(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "ledger.db")
    with opened(f"sqlite:///{tmp_path}/link.db") as ledger:
        run_batch(ledger, [0.5])
    with opened(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        assert len(history.find(ledger)) == 1


def test_a_ledger_with_two_names_is_refused(tmp_path: Path) -> None:
    path, other = tmp_path / "ledger.db", tmp_path / "other.db"
    with opened(f"sqlite:///{path}") as ledger:
        run_batch(ledger, [0.5])
    other.hardlink_to(path)
    for name in (path, other):
        error = refusal(name)
        assert (
            error.message == f"the ledger {name} has 2 names, and SQLite damages a database that has several"
        )
        assert error.hint == f"remove the others; `find DIR -samefile {name}` finds them"
    other.unlink()
    with opened(f"sqlite:///{path}") as ledger:
        assert len(history.find(ledger)) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may plant another user's link")
def test_a_link_of_another_user_is_not_followed(tmp_path: Path) -> None:
    link = tmp_path / "ledger.db"
    link.symlink_to(tmp_path / "planted.db")
    os.chown(link, 65534, 65534, follow_symlinks=False)
    assert (
        refusal(link).message == f"the ledger {link} is another user's symbolic link, which is not followed"
    )
    assert not (tmp_path / "planted.db").exists()


def test_one_that_is_not_there_is_not_made_by_who_only_reads(tmp_path: Path) -> None:
    error = refusal(tmp_path / "state" / "ledger.db", create=False)
    assert error.message == f"no ledger at {tmp_path}/state/ledger.db"
    assert error.hint == "nothing has run yet; `tminus daemon` and `tminus run-now` make it"
    assert not (tmp_path / "state").exists()


def test_a_directory_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path)
    assert (error.message, error.hint) == (f"the ledger {tmp_path} is a directory", "name a file in it")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe").message == f"the ledger {tmp_path}/pipe is not a file"


def test_a_device_is_refused() -> None:
    assert refusal(Path("/dev/null")).message == "the ledger /dev/null is not a file"


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    error = refusal(tmp_path / "file" / "ledger.db")
    assert error.message == f"the ledger {tmp_path}/file/ledger.db cannot be created: Not a directory"
    assert error.hint == f"{tmp_path}/file is not a folder; name another place with --ledger"


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / ("a" * 300)).message.endswith(" cannot be created: File name too long")
    assert refusal(tmp_path / ("a" * 300) / "ledger.db").message.endswith(
        " cannot be created: File name too long"
    )


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    error = refusal(tmp_path / "loop")
    assert error.message == f"the ledger {tmp_path}/loop is a symbolic link that leads to itself"
    assert error.hint == "name another place with --ledger"


def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to look like one\n" * 100)
    before = path.read_bytes()
    error = refusal(path)
    assert error.message == f"{path} is not a tminus ledger, or is damaged: file is not a database"
    assert (
        error.hint
        == "restore it from a backup, or move it away and start afresh; sqlite3's .recover may save some of it"
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_a_damaged_ledger_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "ledger.db"
    with opened(f"sqlite:///{path}") as ledger:
        run_batch(ledger, [0.5] * 20)
    whole = path.read_bytes()
    path.write_bytes(whole[:5000] if damage == "cut" else whole[:100] + b"\xff" * (len(whole) - 100))
    assert (
        refusal(path).message
        == f"{path} is not a tminus ledger, or is damaged: database disk image is malformed"
    )


def test_damage_that_is_found_while_reading_is_told_in_words(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with opened(f"sqlite:///{path}") as ledger:
        run_batch(ledger, [0.5] * 200)
        with ledger.read() as connection:
            query = "SELECT rootpage FROM sqlite_master WHERE name = 'occurrences'"
            page = connection.exec_driver_sql(query).scalar_one()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    with (
        opened(f"sqlite:///{path}") as ledger,
        pytest.raises(LedgerError, match="is not a tminus ledger, or is damaged"),
    ):
        history.find(ledger)
