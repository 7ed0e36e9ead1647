"""
The board: which works have been entered, in memory that outlives the runner.

A runner that dies by a segmentation fault reports nothing; the daemon reads here what had begun. A mark is a store into memory:
it needs no system call and no lock, and no thread gives up the GIL for it at T.
"""

import fcntl
import mmap
import os
import struct

SLOTS = 1 << 16
#: No instant.
PREPARING = 1

_SLOT = struct.Struct("=q")


class Board:
    """
    Args:
        descriptor: Of a file of the right size, shared by both processes.

    Thread-safety:
        A slot has one writer.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        os.set_inheritable(descriptor, False)  # by an exec; whoever starts the child process says that it gets it
        self._memory = mmap.mmap(descriptor, SLOTS * _SLOT.size)

    @classmethod
    def make(cls) -> "Board":
        """
        Make a board in memory that is reserved: a hole in it would kill both processes when it is used. The descriptor is for a
        child process, and no job can make the memory smaller.

        Raises:
            OSError: there is no memory, or no descriptor, left.
        """
        descriptor = os.memfd_create("tminus-board", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.posix_fallocate(descriptor, 0, SLOTS * _SLOT.size)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
            return cls(descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    def mark(self, slot: int, instant_ns: int) -> None:
        """Set when it was entered: 0 if it was not, `PREPARING` while it is prepared; the same instant, negative, at its end."""
        _SLOT.pack_into(self._memory, slot % SLOTS * _SLOT.size, instant_ns)

    def entered_ns(self, slot: int) -> int:
        """Return when it was entered; 0 if it was not."""
        instant_ns = abs(self._mark(slot))
        return 0 if instant_ns == PREPARING else instant_ns

    def is_preparing(self, slot: int) -> bool:
        """Return whether it was being prepared: its module imported, its contexts pushed."""
        return self._mark(slot) == PREPARING

    def is_busy(self, slot: int) -> bool:
        """Return whether its code was running: it was being prepared, or was entered and had not ended."""
        return self._mark(slot) > 0

    def _mark(self, slot: int) -> int:
        (mark,) = _SLOT.unpack_from(self._memory, slot % SLOTS * _SLOT.size)
        return int(mark)

    def close(self) -> None:
        """Unmap the memory, and close the descriptor, in this process."""
        self._memory.close()
        os.close(self.descriptor)
