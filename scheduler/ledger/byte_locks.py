"""
Locks on bytes of a SQLite database's own file: all names of the database share them, and nobody can remove them.

The kernel frees a lock when its process ends. The locks belong to an open file description (fcntl(2), F_OFD_SETLK) and are on
bytes that SQLite does not lock. A process that closes any descriptor of the file loses SQLite's own locks on it. So no descriptor
is closed here: a free one is used for the next lock.
"""

import contextlib
import errno
import fcntl
import os
import struct
import threading
from pathlib import Path

from scheduler.errors import LedgerError
from scheduler.ledger import files

_FLOCK = "hhqqi4x"
_TO_THE_END = 0

_mutex = threading.Lock()
#: Descriptors without a lock, by device and inode.
_free: dict[tuple[int, int], list[int]] = {}
#: Descriptors that are not used any more, but could not be unlocked yet.
_left: list[int] = []
_all: set[int] = set()


def _after_fork() -> None:
    """Close the parent's descriptors in a child: otherwise the child would keep the locks after the parent's end."""
    global _mutex
    _mutex = threading.Lock()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in _all:
        os.dup2(nowhere, descriptor, inheritable=False)
    os.close(nowhere)
    _free.clear()
    _left.clear()
    _all.clear()


os.register_at_fork(after_in_child=_after_fork)


class ByteLocks:
    """
    The locks of one holder. Two holders exclude each other, also within one process. One thread at a time uses a holder.

    Raises:
        LedgerError: the database cannot be opened, or the kernel cannot lock or unlock its bytes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = _descriptor_of(path)

    def take(self, offset: int) -> bool:
        """Lock a byte; return False if another holder has it."""
        try:
            self._call(fcntl.F_OFD_SETLK, fcntl.F_WRLCK, offset, 1)
        except BlockingIOError:
            with _mutex:
                _unlock_left()
            return False
        return True

    def give_back(self, offset: int, length: int = 1) -> None:
        """Unlock a byte, or several."""
        self._call(fcntl.F_OFD_SETLK, fcntl.F_UNLCK, offset, length)

    def is_taken(self, start: int, end: int) -> bool:
        """Return whether another holder has a byte from `start` up to, but not including, `end`."""
        if start == end:
            return False
        found: bytes = self._call(fcntl.F_OFD_GETLK, fcntl.F_WRLCK, start, end - start)
        return bool(struct.unpack(_FLOCK, found)[0] != fcntl.F_UNLCK)

    def close(self) -> None:
        """Unlock everything, and leave the descriptor to the next holder."""
        with _mutex:
            if self._descriptor in _all:  # not in a process that was forked meanwhile
                _left.append(self._descriptor)
                _unlock_left()
        self._descriptor = -1

    def _call(self, command: int, kind: int, start: int, length: int) -> bytes:
        try:
            return _call(self._descriptor, command, kind, start, length)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise BlockingIOError(*error.args) from None
            raise LedgerError(f"the ledger {self._path} cannot be locked: {error.strerror}") from error


def _call(descriptor: int, command: int, kind: int, start: int, length: int) -> bytes:
    return fcntl.fcntl(descriptor, command, struct.pack(_FLOCK, kind, os.SEEK_SET, start, length, 0))


def _unlock_left() -> None:
    """Unlock the descriptors in `_left`. If that fails, such as by EIO, the next call tries again: no lock may stay for ever."""
    for descriptor in list(_left):
        with contextlib.suppress(OSError):
            _call(descriptor, fcntl.F_OFD_SETLK, fcntl.F_UNLCK, 0, _TO_THE_END)
            about = os.fstat(descriptor)
            _left.remove(descriptor)
            _free.setdefault((about.st_dev, about.st_ino), []).append(descriptor)


def _descriptor_of(path: Path) -> int:
    with _mutex:
        _unlock_left()
        free = _free.get(files.identity(path) or (0, 0))
        if free:
            return free.pop()
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except OSError as error:
            raise files.explain(path, error.strerror or str(error)) from error
        _all.add(descriptor)
        return descriptor
