"""
The board: which works have been entered, in memory that outlives the runner.

A runner that dies by a segmentation fault says nothing any more; the daemon reads here what had begun. A mark is a store
into memory: no system call, no lock, and nobody hands over the GIL for it at T.
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
        """Entered then; 0 is not yet, `PREPARING` is about to be. The same instant, negative: it has come to its end."""
        _SLOT.pack_into(self._memory, slot % SLOTS * _SLOT.size, instant_ns)

    def entered_ns(self, slot: int) -> int:
        """When it was entered, 0 where it was not."""
        instant_ns = abs(self._mark(slot))
        return 0 if instant_ns == PREPARING else instant_ns

    def is_preparing(self, slot: int) -> bool:
        """Whether it was being prepared: its module is imported, its contexts are pushed."""
        return self._mark(slot) == PREPARING

    def is_busy(self, slot: int) -> bool:
        """Whether its code was running: it was prepared, or entered and not at its end."""
        return self._mark(slot) > 0

    def _mark(self, slot: int) -> int:
        (mark,) = _SLOT.unpack_from(self._memory, slot % SLOTS * _SLOT.size)
        return int(mark)

    def close(self) -> None:
        """Give up this process's part of it."""
        self._memory.close()
        os.close(self.descriptor)
