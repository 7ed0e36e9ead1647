"""
Locks on bytes of a SQLite database's own file. All names of the database share them, and they cannot be
removed.

The kernel frees a lock when its process ends. The locks belong to an open file description (fcntl(2),
F_OFD_SETLK) and are on bytes that SQLite does not lock. A process that closes any descriptor of the file
loses SQLite's own locks on it. So no descriptor is closed here: a free one is used for the next lock.
"""

import contextlib
import errno
import fcntl
import os
import struct
import threading
from pathlib import Path

from tminus.errors import LedgerError
from tminus.ledger import files
from tminus.ledger.file_errors import explain

_FLOCK = "hhqqi4x"
_TO_THE_END = 0


class _Descriptors:
    """The descriptors of this process. Thread-safe."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._is_registered = False
        #: Descriptors without a lock, by device and inode.
        self._free: dict[tuple[int, int], list[int]] = {}
        #: Descriptors that are not used any more, and are not unlocked yet.
        self._left: list[int] = []
        self._all: set[int] = set()

    def take(self, path: Path) -> int:
        """Return a descriptor without a lock; open one if there is none."""
        if not self._is_registered:  # before the mutex is held: a child replaces it
            os.register_at_fork(after_in_child=self._close_parents)
            self._is_registered = True
        with self._mutex:
            self._unlock_left()
            free = self._free.get(files.identity(path) or (0, 0))
            if free:
                return free.pop()
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
            except OSError as error:
                raise explain(path, error.strerror or str(error)) from error
            self._all.add(descriptor)
            return descriptor

    def give_back(self, descriptor: int) -> None:
        """Unlock a descriptor, for the next holder. In a process that was forked meanwhile, do nothing."""
        with self._mutex:
            if descriptor in self._all:
                self._left.append(descriptor)
                self._unlock_left()

    def unlock_left(self) -> None:
        """
        Unlock the descriptors that are not used any more. If that fails, such as by EIO, the next call tries
        again: no lock may stay for ever.
        """
        with self._mutex:
            self._unlock_left()

    def _unlock_left(self) -> None:
        for descriptor in list(self._left):
            with contextlib.suppress(OSError):
                _call(descriptor, fcntl.F_OFD_SETLK, fcntl.F_UNLCK, 0, _TO_THE_END)
                about = os.fstat(descriptor)
                self._left.remove(descriptor)
                self._free.setdefault((about.st_dev, about.st_ino), []).append(descriptor)

    def _close_parents(self) -> None:
        """
        Close the parent's descriptors in a child: otherwise the child would keep the locks after the parent's
        end.
        """
        self._mutex = threading.Lock()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in self._all:
            os.dup2(nowhere, descriptor, inheritable=False)
        os.close(nowhere)
        self._free.clear()
        self._left.clear()
        self._all.clear()


_descriptors = _Descriptors()


class ByteLocks:
    """
    The locks of one holder. Two holders exclude each other, also within one process. One thread at a time
    uses a holder.

    Raises:
        LedgerError: the database cannot be opened, or the kernel cannot lock or unlock its bytes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = _descriptors.take(path)

    def take(self, offset: int) -> bool:
        """Lock a byte; return False if another holder has it."""
        try:
            self._call(fcntl.F_OFD_SETLK, fcntl.F_WRLCK, offset, 1)
        except BlockingIOError:
            _descriptors.unlock_left()
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
        _descriptors.give_back(self._descriptor)
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
