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

from tminus.errors import LedgerError, UsageError
from tminus.ledger.file_errors import explain, not_permitted

#: Paths of at most this many parts, such as `/var/lib` and `/srv`, hold files of others.
_NEAR_THE_ROOT = 3
_COMPANIONS = ("", "-wal", "-shm", ".lock")
_MOST_LINKS = 40
#: SQLite's smallest page; it takes a shorter file for a new database.
_SMALLEST = 512


def path_of(url: URL) -> Path | None:
    """Return the file of a SQLite URL; None for any other URL."""
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def own_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of a user for the state of tminus."""
    home = environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return Path(home) / "tminus"


def own_url(environ: Mapping[str, str]) -> str:
    """Return the URL of the ledger of a user who names none."""
    return f"sqlite:///{own_folder(environ) / 'ledger.db'}"


def resolve(path: Path) -> Path:
    """
    Resolve symbolic links. The other files of a ledger are beside the file itself, so all its names must
    share them.

    Raises:
        LedgerError: the path leads through a symbolic link that somebody else may have planted, or in a
            circle.
    """
    named = path
    for _ in range(_MOST_LINKS):
        try:
            status = path.lstat()
            if not stat.S_ISLNK(status.st_mode):
                break
            if status.st_uid not in (0, os.geteuid(), path.parent.stat().st_uid):
                hint = "remove it, or name the file itself"
                raise LedgerError(
                    f"the ledger {named} is another user's symbolic link, which is not followed", hint=hint
                )
            path = path.parent / path.readlink()
        except OSError:
            break  # missing, or not permitted: to open it raises the error
    else:
        raise LedgerError(
            f"the ledger {named} is a symbolic link that leads to itself",
            hint="name another place with --ledger",
        )
    return Path(os.path.realpath(path.parent)) / path.name


def identity(file: Path | int | None) -> tuple[int, int] | None:
    """Return the device and the inode of a file; None if it is missing."""
    with contextlib.suppress(OSError):
        status = os.stat(file) if file is not None else None
        return (status.st_dev, status.st_ino) if status else None
    return None


def lock_file(path: Path) -> Path:
    """Return the path of the lock file beside a SQLite ledger."""
    return path.with_name(path.name + ".lock")


def exists(path: Path) -> bool:
    """
    Return whether there is a file that may hold a ledger.

    Raises:
        LedgerError: it is not a file, has several names, or is empty. Nobody sees a new ledger before its
            tables are made.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise explain(path, error.strerror or str(error)) from error
    if not stat.S_ISREG(status.st_mode):
        raise explain(path, "not a file")
    if status.st_nlink > 1:
        hint = f"remove the others; `find DIR -samefile {path}` finds them"
        message = (
            f"the ledger {path} has {status.st_nlink} names, and SQLite damages a database that has several"
        )
        raise LedgerError(message, hint=hint)
    if status.st_size < _SMALLEST:
        hint = "restore it from a backup; for a new one, remove it, and the next start creates it"
        message = f"{path} is not a tminus ledger, or is cut off: it has {status.st_size} bytes"
        raise LedgerError(
            message if status.st_size else f"the ledger {path} is empty: what was in it is lost", hint=hint
        )
    return True


@contextlib.contextmanager
def create_file(path: Path) -> Iterator[Path | None]:
    """
    Create a file of mode 0600 in a folder of mode 0700, whatever the umask. Nobody sees the file before it is
    complete.

    Yields:
        The temporary path to write to, which is renamed at the end; None if another process has created the
        file meanwhile.

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
            if exists(path):
                yield None
                return
            # From a process that was killed. SQLite would take the journal of a removed ledger for a part of
            # the new one.
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
    Give a ledger's files to a group, whatever the umask. Files that SQLite creates later get the mode of its
    database.

    Raises:
        UsageError: the group does not exist.
        LedgerError: this user may not give the files to the group.
    """
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        raise UsageError(
            f"ledger_group: no group {group!r} on this machine", hint=f"groupadd {group}"
        ) from None
    files = [(path.with_name(path.name + companion), 0o660) for companion in _COMPANIONS]
    for file, mode in [(path.parent, 0o2770), *files] if _is_ours_alone(path.parent) else files:
        try:
            _share_file(file, gid, mode)
        except FileNotFoundError:
            pass
        except OSError as error:
            # EINVAL: the user namespace of this process has no such group.
            if error.errno not in (errno.EPERM, errno.EACCES, errno.EINVAL):
                raise
            hint = f"usermod -aG {group} USER; a systemd unit with PrivateUsers=yes needs Group={group}"
            raise LedgerError(f"not permitted to give {file} to the group {group}", hint=hint) from None


def _share_file(path: Path, gid: int, mode: int) -> None:
    """
    Change only a file of this user: a member of the group may have put a link in its place. What is right
    already is left alone, because a sandbox may forbid the change, as `RestrictSUIDSGID=yes` does.
    """
    # O_PATH does not open the file itself: see `byte_locks.py`.
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        status = os.fstat(descriptor)
        is_single = stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink == 1)
        if is_single and status.st_uid == os.geteuid():
            if status.st_gid != gid:
                os.chown(f"/proc/self/fd/{descriptor}", -1, gid)
            if stat.S_IMODE(status.st_mode) != mode:
                os.chmod(f"/proc/self/fd/{descriptor}", mode)
    finally:
        os.close(descriptor)


@overload
def open_lock(path: Path) -> int: ...


@overload
def open_lock(path: Path, *, create: bool) -> int | None: ...


def open_lock(path: Path, *, create: bool = True) -> int | None:
    """
    Open the lock file beside a SQLite ledger. Create a missing one with the owner, group and mode of its
    database.

    Returns:
        The descriptor; None if the file is missing and is not to be created.

    Raises:
        LedgerError: it is not permitted, or is not a file. A symbolic link is not followed.
    """
    file = lock_file(path)
    try:
        with contextlib.suppress(FileNotFoundError):
            return _check_is_file(file, os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK))
        if not create:
            return None
        try:
            descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        except FileExistsError:  # another process has created it meanwhile
            return open_lock(path, create=create)
        status = path.stat()
        with contextlib.suppress(PermissionError):  # not a member of that group
            os.fchown(descriptor, status.st_uid if os.geteuid() == 0 else -1, status.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
    except OSError as error:
        raise _explain_lock(path, file, error) from error
    return descriptor


def _check_is_file(file: Path, descriptor: int) -> int:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise LedgerError(f"the lock file {file} is not a file", hint="remove it; the next start creates one")
    return descriptor


def _explain_lock(path: Path, file: Path, error: OSError) -> LedgerError:
    if isinstance(error, PermissionError):
        return not_permitted(path, file)
    if error.errno == errno.ELOOP:
        hint = "remove it; the next start creates a file"
        return LedgerError(f"the lock file {file} is a symbolic link, which is not followed", hint=hint)
    return LedgerError(f"the lock file {file} cannot be opened: {error.strerror}", hint="see `tminus doctor`")


def _is_ours_alone(folder: Path) -> bool:
    """
    Return whether a folder may be given to the group: it is this user's, and not a common one such as /tmp or
    /var/lib.
    """
    status = folder.stat()
    is_common = status.st_mode & (stat.S_ISVTX | stat.S_IWOTH)
    is_of_the_system = len(folder.resolve().parts) <= _NEAR_THE_ROOT and any(
        entry.is_dir() for entry in folder.iterdir()
    )
    return status.st_uid == os.geteuid() and not is_common and not is_of_the_system
