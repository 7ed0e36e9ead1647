"""A SQLite ledger as files: their permissions, and the errors of the file system."""

import contextlib
import errno
import fcntl
import grp
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import overload

from sqlalchemy.engine import URL

from scheduler.errors import LedgerError, UsageError

#: Paths of at most this many parts, such as `/var/lib` and `/srv`, hold files of others.
_NEAR_THE_ROOT = 3
_COMPANIONS = ("", "-wal", "-shm", ".lock")
_MOST_LINKS = 40
#: SQLite's smallest page; it takes a shorter file for a new database.
_SMALLEST = 512


def path_of(url: URL) -> Path | None:
    """Return the file of a SQLite URL; None for any other URL."""
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def own_url(environ: Mapping[str, str]) -> str:
    """Return the URL of the ledger of a user who names none."""
    home = environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return f"sqlite:///{Path(home) / 'tminus' / 'ledger.db'}"


def real(path: Path) -> Path:
    """
    Resolve symbolic links. The other files of a ledger are beside the file itself, so all its names must share them.

    Raises:
        LedgerError: the path leads through a symbolic link that somebody else may have planted, or in a circle.
    """
    named = path
    for _ in range(_MOST_LINKS):
        try:
            about = path.lstat()
            if not stat.S_ISLNK(about.st_mode):
                break
            if about.st_uid not in (0, os.geteuid(), path.parent.stat().st_uid):
                hint = "remove it, or name the file itself"
                raise LedgerError(f"the ledger {named} is another user's symbolic link, which is not followed", hint=hint)
            path = path.parent / path.readlink()
        except OSError:
            break  # missing, or not permitted: to open it raises the error
    else:
        raise LedgerError(f"the ledger {named} is a symbolic link that leads to itself", hint="name another place with --ledger")
    return Path(os.path.realpath(path.parent)) / path.name


def identity(file: Path | int | None) -> tuple[int, int] | None:
    """Return the device and the inode of a file; None if it is missing."""
    with contextlib.suppress(OSError):
        about = os.stat(file) if file is not None else None
        return (about.st_dev, about.st_ino) if about else None
    return None


def lock_file(path: Path) -> Path:
    """Return the path of the lock file beside a SQLite ledger."""
    return path.with_name(path.name + ".lock")


def is_there(path: Path) -> bool:
    """
    Return whether there is a file that may hold a ledger.

    Raises:
        LedgerError: it is not a file, has several names, or is empty. Nobody sees a new ledger before its tables are made.
    """
    try:
        about = path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise explain(path, error.strerror or str(error)) from error
    if not stat.S_ISREG(about.st_mode):
        raise explain(path, "no file")
    if about.st_nlink > 1:
        hint = f"remove the others; `find DIR -samefile {path}` finds them"
        said = f"the ledger {path} has {about.st_nlink} names, and SQLite damages a database that has several"
        raise LedgerError(said, hint=hint)
    if about.st_size < _SMALLEST:
        hint = "restore it from a backup; if it is to be a new one, remove it, and the next start makes it"
        said = f"{path} is not a tminus ledger, or is cut off: it has {about.st_size} bytes"
        raise LedgerError(said if about.st_size else f"the ledger {path} is empty: what was in it is lost", hint=hint)
    return True


@contextlib.contextmanager
def making(path: Path) -> Iterator[Path | None]:
    """
    Create a file of mode 0600 in a folder of mode 0700, whatever the umask. Nobody sees the file before it is complete.

    Yields:
        The temporary path to write to, which is renamed at the end; None if another process has created the file meanwhile.

    Raises:
        LedgerError: the file cannot be created.
    """
    new = path.with_name(f".{path.name}.new")
    try:
        if not path.parent.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.parent.chmod(0o700)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if is_there(path):
                yield None
                return
            # From a process that was killed. SQLite would take the journal of a removed ledger for a part of the new one.
            leftovers = [new, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))]
            for leftover in [*leftovers, new.with_name(new.name + "-journal")]:
                leftover.unlink(missing_ok=True)
            descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o600)
            os.fchmod(descriptor, 0o600)
            os.close(descriptor)
            try:
                yield new
                new.replace(path)
                os.fsync(folder)
            finally:
                new.unlink(missing_ok=True)
        finally:
            os.close(folder)
    except OSError as error:
        raise explain(path, error.strerror or str(error)) from error


def share(path: Path, *, group: str) -> None:
    """
    Give a ledger's files to a group, whatever the umask. Files that SQLite creates later get the mode of its database.

    Raises:
        UsageError: the group does not exist.
        LedgerError: this user may not give the files to the group.
    """
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        raise UsageError(f"ledger_group: no group {group!r} on this machine", hint=f"groupadd {group}") from None
    files = [(path.with_name(path.name + companion), 0o660) for companion in _COMPANIONS]
    for file, mode in [(path.parent, 0o2770), *files] if _is_ours_alone(path.parent) else files:
        try:
            _give(file, gid, mode)
        except FileNotFoundError:
            pass
        except PermissionError:
            hint = f"make this user a member of {group}: usermod -aG {group} USER"
            raise LedgerError(f"not permitted to give {file} to the group {group}", hint=hint) from None


def _give(path: Path, gid: int, mode: int) -> None:
    """Change only a file of this user: a member of the group may have put a link in its place."""
    # O_PATH does not open the file itself: see `byte_locks.py`.
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        about = os.fstat(descriptor)
        is_single = stat.S_ISDIR(about.st_mode) or (stat.S_ISREG(about.st_mode) and about.st_nlink == 1)
        if is_single and about.st_uid == os.geteuid():
            os.chown(f"/proc/self/fd/{descriptor}", -1, gid)
            os.chmod(f"/proc/self/fd/{descriptor}", mode)
    finally:
        os.close(descriptor)


@overload
def open_lock(path: Path) -> int: ...


@overload
def open_lock(path: Path, *, create: bool) -> int | None: ...


def open_lock(path: Path, *, create: bool = True) -> int | None:
    """
    Open the lock file beside a SQLite ledger. Create a missing one with the owner, group and mode of its database.

    Returns:
        The descriptor; None if the file is missing and is not to be created.

    Raises:
        LedgerError: it is not permitted, or is not a file. A symbolic link is not followed.
    """
    file = lock_file(path)
    try:
        with contextlib.suppress(FileNotFoundError):
            return _a_file(file, os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK))
        if not create:
            return None
        try:
            descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        except FileExistsError:  # another process has created it meanwhile
            return open_lock(path, create=create)
        about = path.stat()
        with contextlib.suppress(PermissionError):  # not a member of that group
            os.fchown(descriptor, about.st_uid if os.geteuid() == 0 else -1, about.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(about.st_mode))
    except OSError as error:
        raise _explain_lock(path, file, error) from error
    return descriptor


def _a_file(file: Path, descriptor: int) -> int:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise LedgerError(f"the lock file {file} is no file", hint="remove it; the next start makes one")
    return descriptor


def _explain_lock(path: Path, file: Path, error: OSError) -> LedgerError:
    if isinstance(error, PermissionError):
        return _not_permitted(path, file)
    if error.errno == errno.ELOOP:
        hint = "remove it; the next start makes a file"
        return LedgerError(f"the lock file {file} is a symbolic link, which is not followed", hint=hint)
    return LedgerError(f"the lock file {file} cannot be opened: {error.strerror}", hint="see `tminus doctor`")


def explain(path: Path, said: str) -> LedgerError:
    """Return the error for what the system or SQLite reported about a ledger's file."""
    try:
        about = path.stat()
    except PermissionError:
        return _not_permitted(path, path.parent)
    except OSError:
        return LedgerError(f"the ledger {path} cannot be made: {said}", hint=_hint_for_folder(path.parent))
    if stat.S_ISDIR(about.st_mode):
        return LedgerError(f"the ledger {path} is a directory", hint="name a file in it")
    if not stat.S_ISREG(about.st_mode):
        return LedgerError(f"the ledger {path} is no file", hint="name another place with --ledger")
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return LedgerError(
            f"the file system of the ledger {path} is read-only", hint="mount it for writing, or name another place"
        )
    if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK | os.X_OK):
        return _not_permitted(path, path)
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
    if os.path.exists(folder) and not os.path.isdir(folder):
        return f"{folder} is no folder; name another place with --ledger"
    if not os.path.exists(folder):
        return f"{folder} is not there and cannot be made by this user; name another place with --ledger"
    return f"{folder} cannot be written to by this user; name another place with --ledger"


def _is_ours_alone(folder: Path) -> bool:
    """Return whether a folder may be given to the group: it is this user's, and not a common one such as /tmp or /var/lib."""
    about = folder.stat()
    is_common = about.st_mode & (stat.S_ISVTX | stat.S_IWOTH)
    is_of_the_system = len(folder.resolve().parts) <= _NEAR_THE_ROOT and any(entry.is_dir() for entry in folder.iterdir())
    return about.st_uid == os.geteuid() and not is_common and not is_of_the_system
