"""A SQLite ledger as files: who may open them, and words for what goes wrong with them."""

import contextlib
import os
import shutil
import stat
from pathlib import Path

from sqlalchemy.engine import URL

from scheduler.errors import LedgerError, UsageError

_COMPANIONS = ("", "-wal", "-shm", ".lock")


def path_of(url: URL) -> Path | None:
    """The file of a SQLite URL; None for any other."""
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def lock_file(path: Path) -> Path:
    """The lock file beside a SQLite ledger."""
    return path.with_name(path.name + ".lock")


def prepare(path: Path, *, group: str | None, create: bool) -> None:
    """
    Make the file and its folder where they are not there yet: 0600 in 0700, or for a group 0660 in 2770.

    Raises:
        LedgerError: it is not there and is not to be made, or cannot be.
    """
    if path.exists():
        return
    if not create:
        raise LedgerError(f"no ledger at {path}", hint="nothing has run yet; `tminus daemon` and `tminus run-now` make it")
    try:
        if not path.parent.exists():
            path.parent.mkdir(parents=True)
            path.parent.chmod(0o2770 if group else 0o700)
        if group:
            _give(path.parent, group)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise explain(path, error.strerror or str(error)) from error


def share(path: Path, *, group: str) -> None:
    """
    Give a ledger's files the modes that the contract says, whatever the umask: what SQLite makes later has its database's.

    Raises:
        LedgerError: there is no such group, or this user may not give them to it.
    """
    if _is_ours_alone(path.parent):
        _give(path.parent, group)
        path.parent.chmod(0o2770)
    for companion in _COMPANIONS:
        file = path.with_name(path.name + companion)
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_uid == os.geteuid():
                _give(file, group)
                file.chmod(0o660)


def explain(path: Path, said: str) -> LedgerError:
    """A sentence for what the system or SQLite said of a ledger's file."""
    try:
        about = path.stat()
    except PermissionError:
        return _not_permitted(path, path.parent)
    except FileNotFoundError:
        return LedgerError(f"the ledger {path} cannot be made: {said}", hint=_hint_for_folder(path.parent))
    if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK | os.X_OK):
        return _not_permitted(path, path)
    if stat.S_ISDIR(about.st_mode):
        return LedgerError(f"the ledger {path} is a directory", hint="name a file in it")
    if "not a database" in said or "malformed" in said:
        hint = "restore it from a backup, or move it away and start afresh; sqlite3's .recover may save some of it"
        return LedgerError(f"{path} is not a tminus ledger, or is damaged: {said}", hint=hint)
    if "locked" in said:
        return LedgerError(
            f"the ledger {path} is held by another writer: {said}", hint="look for a long transaction, or a backup"
        )
    if "full" in said:
        return LedgerError(
            f"the disk of the ledger {path} is full", hint="free some space; nothing starts until it is written down"
        )
    return LedgerError(f"the ledger {path} does not work: {said}", hint="see `tminus doctor`")


def _not_permitted(path: Path, at: Path) -> LedgerError:
    with contextlib.suppress(OSError, KeyError):
        owner, group = at.owner(), at.group()
        said = f"not permitted to open the ledger {path}: it is {owner}'s, group {group}"
        return LedgerError(said, hint=f"join the group {group} and set `daemon: {{ledger_group: {group}}}`, or run as {owner}")
    return LedgerError(f"not permitted to open the ledger {path}", hint="see `daemon: {ledger_group: …}`")


def _hint_for_folder(folder: Path) -> str:
    if not folder.exists():
        return f"{folder} is not there and cannot be made by this user; name another place with --ledger"
    return f"{folder} cannot be written to by this user; name another place with --ledger"


def _is_ours_alone(folder: Path) -> bool:
    """Whether a folder may be handed to the group: ours, and no common place such as /tmp."""
    about = folder.stat()
    return about.st_uid == os.geteuid() and not about.st_mode & (stat.S_ISVTX | stat.S_IWOTH)


def _give(path: Path, group: str) -> None:
    try:
        shutil.chown(path, group=group)
    except LookupError:
        raise UsageError(f"ledger_group: no group {group!r} on this machine", hint=f"groupadd {group}") from None
    except PermissionError:
        hint = f"make this user a member of {group}: usermod -aG {group} USER"
        raise LedgerError(f"not permitted to give {path} to the group {group}", hint=hint) from None
