"""
Who else may open a ledger: nobody, or the members of one group. Other users are other processes, so this
needs root.
"""

import errno
import grp
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.support.ledgers import an_instance, open_it
from tests.support.other_process import User, another_process
from tminus.errors import LedgerError, UsageError
from tminus.instants import SECOND
from tminus.ledger.engine import open_ledger
from tminus.ledger.files import share
from tminus.ledger.lock import lock_of
from tminus.ledger.named_locks import acquire

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may start processes of other users")

GROUP = next((entry for entry in grp.getgrall() if entry.gr_gid not in (0, 65534)), grp.getgrgid(0))
OWNER = User(uid=54_321, gid=54_321, groups=(GROUP.gr_gid,))
MEMBER = User(uid=54_322, gid=54_322, groups=(GROUP.gr_gid,))
STRANGER = User(uid=54_323, gid=54_323)


@pytest.fixture
def path() -> Iterator[Path]:
    """
    Of a ledger that is not there yet, in a folder that each of them may go into, and the owner write to.
    """
    folder = Path(tempfile.mkdtemp(prefix="tminus-group-"))
    folder.chmod(0o755)
    os.chown(folder, OWNER.uid, OWNER.gid)
    yield folder / "state" / "ledger.db"
    shutil.rmtree(folder)


def open_as(user: User | None, path: Path, *, group: str | None = None) -> str:
    """What came of it: open it, write to it, lock it."""
    with another_process(open_it, f"sqlite:///{path}", group, user=user) as process:
        assert process.hears() == "ready"
        process.tell("go")
        return str(process.hears())


def modes(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        file.name: (oct(stat.S_IMODE(file.stat().st_mode)), file.stat().st_gid)
        for file in (folder, *folder.iterdir())
    }


@pytest.mark.parametrize("umask", [0o000, 0o077], ids=oct)
def test_with_a_group_all_its_files_are_the_groups_whatever_the_umask(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        ledger = open_ledger(f"sqlite:///{path}", group=GROUP.gr_name)
        an_instance(ledger)
        lock = lock_of(ledger)
        assert lock.acquire()
        acquire(ledger, "shop", "poll", SECOND)()
    finally:
        os.umask(before)
    assert modes(path.parent) == {
        "state": ("0o2770", GROUP.gr_gid),
        "ledger.db": ("0o660", GROUP.gr_gid),
        "ledger.db-wal": ("0o660", GROUP.gr_gid),
        "ledger.db-shm": ("0o660", GROUP.gr_gid),
        "ledger.db.lock": ("0o660", GROUP.gr_gid),
    }
    lock.release()
    ledger.close()


@pytest.mark.processes
def test_a_member_of_the_group_works_with_it_and_so_does_the_owner_afterwards(path: Path) -> None:
    for user in (OWNER, MEMBER, OWNER, MEMBER):
        assert open_as(user, path, group=GROUP.gr_name) == "opened"


@pytest.mark.processes
def test_a_member_who_does_not_name_the_group_works_with_it_too(path: Path) -> None:
    assert open_as(OWNER, path, group=GROUP.gr_name) == "opened"
    assert open_as(MEMBER, path) == "opened"


@pytest.mark.processes
def test_a_member_who_makes_the_lock_file_does_not_lock_the_owner_out(path: Path) -> None:
    assert open_as(OWNER, path, group=GROUP.gr_name) == "opened"
    path.with_name("ledger.db.lock").unlink()
    assert open_as(MEMBER, path) == "opened"
    assert open_as(OWNER, path, group=GROUP.gr_name) == "opened"


@pytest.mark.processes
def test_root_who_makes_the_lock_file_does_not_lock_the_owner_out(path: Path) -> None:
    assert open_as(OWNER, path) == "opened"
    path.with_name("ledger.db.lock").unlink()
    assert open_as(None, path) == "opened"
    assert open_as(OWNER, path) == "opened"


@pytest.mark.processes
def test_a_stranger_is_told_whose_it_is(path: Path) -> None:
    open_ledger(f"sqlite:///{path}", group=GROUP.gr_name).close()
    said = open_as(STRANGER, path)
    assert said == f"not permitted to open the ledger {path}: it is {path.owner()}'s, group {GROUP.gr_name}"


@pytest.mark.processes
def test_without_a_group_a_member_is_a_stranger(path: Path) -> None:
    assert open_as(OWNER, path) == "opened"
    assert open_as(MEMBER, path).startswith(f"not permitted to open the ledger {path}")


@pytest.mark.processes
def test_one_that_may_be_read_but_not_written_is_not_opened(path: Path) -> None:
    assert open_as(OWNER, path) == "opened"
    path.parent.chmod(0o755)
    path.chmod(0o644)
    assert open_as(STRANGER, path).startswith(f"not permitted to open the ledger {path}")


@pytest.mark.processes
def test_a_lock_file_of_somebody_else_is_told_in_words(path: Path) -> None:
    assert open_as(OWNER, path) == "opened"
    lock = path.with_name("ledger.db.lock")
    os.chown(lock, 0, 0)
    assert open_as(OWNER, path).startswith(f"not permitted to open the ledger {path}: it is root's, group ")


@pytest.mark.processes
def test_a_folder_that_this_user_cannot_make_or_write_to_is_told_in_words(path: Path) -> None:
    assert open_as(STRANGER, path) == f"the ledger {path} cannot be created: Permission denied"
    path.parent.mkdir(mode=0o755)
    assert open_as(STRANGER, path) == f"the ledger {path} cannot be created: Permission denied"


def test_a_group_that_is_not_there_is_refused(path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        open_ledger(f"sqlite:///{path}", group="no-such-group")
    assert refused.value.message == "ledger_group: no group 'no-such-group' on this machine"
    assert refused.value.hint == "groupadd no-such-group"


@pytest.mark.processes
def test_a_group_that_the_owner_is_not_in_is_refused(path: Path) -> None:
    alone = User(uid=OWNER.uid, gid=OWNER.gid)
    said = open_as(alone, path, group=GROUP.gr_name)
    assert said == f"not permitted to give {path.parent} to the group {GROUP.gr_name}"


def test_what_is_right_already_is_left_alone_because_a_sandbox_may_forbid_the_change(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ledger(f"sqlite:///{path}", group=GROUP.gr_name).close()
    for change in ("chown", "chmod"):
        monkeypatch.setattr(os, change, Mock(side_effect=PermissionError))
    open_ledger(f"sqlite:///{path}", group=GROUP.gr_name).close()


def test_a_group_that_a_user_namespace_does_not_have_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ledger(f"sqlite:///{path}").close()
    monkeypatch.setattr(os, "chown", Mock(side_effect=OSError(errno.EINVAL, "Invalid argument")))
    with pytest.raises(LedgerError) as refused:
        share(path, group=GROUP.gr_name)
    assert refused.value.message == f"not permitted to give {path.parent} to the group {GROUP.gr_name}"
    assert (refused.value.hint or "").endswith(
        f"a systemd unit with PrivateUsers=yes needs Group={GROUP.gr_name}"
    )


@pytest.fixture
def near_the_root() -> Iterator[Path]:
    """A ledger in a folder such as /srv/NAME, with another folder beside it."""
    with tempfile.TemporaryDirectory(dir="/srv", prefix="tminus-test-") as folder:
        (Path(folder) / "of somebody").mkdir()
        yield Path(folder) / "ledger.db"


@pytest.mark.parametrize("what", ["sticky", "of_all", "near_the_root"])
def test_a_common_folder_is_not_handed_to_the_group(path: Path, near_the_root: Path, what: str) -> None:
    if what == "near_the_root":
        path = near_the_root
    else:
        path.parent.mkdir(mode=0o755)
        path.parent.chmod({"sticky": 0o1775, "of_all": 0o757}[what])
    before = path.parent.stat()
    open_ledger(f"sqlite:///{path}", group=GROUP.gr_name).close()
    after = path.parent.stat()
    assert (after.st_mode, after.st_gid) == (before.st_mode, before.st_gid)
    assert modes(path.parent)["ledger.db"] == ("0o660", GROUP.gr_gid)


@pytest.mark.parametrize("planted", ["ledger.db.lock", "ledger.db-wal", "ledger.db-shm"])
def test_what_a_member_has_planted_is_not_given_to_the_group(path: Path, planted: str) -> None:
    open_ledger(f"sqlite:///{path}", group=GROUP.gr_name).close()
    ours = path.parent.parent / "ours"
    ours.write_text("nobody else's")
    ours.chmod(0o600)
    link = path.parent / planted
    for plant in (link.symlink_to, link.hardlink_to):
        link.unlink(missing_ok=True)
        plant(ours)
        share(path, group=GROUP.gr_name)
        assert (stat.S_IMODE(ours.stat().st_mode), ours.stat().st_gid) == (0o600, os.getegid())
        link.unlink()
