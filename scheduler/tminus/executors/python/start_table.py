"""
The start table: which works have been entered, in memory that outlives the runner.

If a runner dies by a segmentation fault, it reports nothing. The daemon then reads here which works had
started. A mark is a write into memory: it needs no system call and no lock, and no thread releases the GIL
for it at T.
"""

import fcntl
import mmap
import os
import struct

SLOTS = 1 << 16
#: Marks that are not instants: the work is loading; a runner has it, and nothing of it has run.
LOADING, ACCEPTED = 1, 2

_SLOT = struct.Struct("=q")


class StartTable:
    """
    A table of marks, one per slot, shared by the daemon and a runner.

    Args:
        descriptor: The descriptor of a file of the right size.

    Thread-safety:
        A slot has one writer.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        os.set_inheritable(descriptor, False)  # code that starts a process passes it explicitly
        self._memory = mmap.mmap(descriptor, SLOTS * _SLOT.size)

    @classmethod
    def make(cls) -> "StartTable":
        """
        Return a new start table. Its memory is reserved, because a hole in it would kill both processes when
        it is used. No job can make it smaller.

        Raises:
            OSError: there is no memory, or no descriptor, left.
        """
        descriptor = os.memfd_create("tminus-starts", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.posix_fallocate(descriptor, 0, SLOTS * _SLOT.size)
            fcntl.fcntl(
                descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
            )
            return cls(descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    def mark(self, slot: int, instant_ns: int) -> None:
        """
        Set the mark of a slot: the instant when its work was entered, or 0, `ACCEPTED` or `LOADING` if it
        was not. At its end, the same instant is set as a negative number.
        """
        _SLOT.pack_into(self._memory, slot % SLOTS * _SLOT.size, instant_ns)

    def entered_ns(self, slot: int) -> int:
        """Return when the work was entered; 0 if it was not."""
        instant_ns = abs(self._mark(slot))
        return 0 if instant_ns in (LOADING, ACCEPTED) else instant_ns

    def is_accepted(self, slot: int) -> bool:
        """Return whether a runner has the work of a call."""
        return self._mark(slot) != 0

    def is_loading(self, slot: int) -> bool:
        """Return whether the work is loading: its module is being imported, or its contexts pushed."""
        return self._mark(slot) == LOADING

    def is_busy(self, slot: int) -> bool:
        """Return whether code of the work runs: it is loading, or was entered and has not ended."""
        return self._mark(slot) > 0 and self._mark(slot) != ACCEPTED

    def _mark(self, slot: int) -> int:
        (mark,) = _SLOT.unpack_from(self._memory, slot % SLOTS * _SLOT.size)
        return int(mark)

    def close(self) -> None:
        """Unmap the memory, and close the descriptor, in this process."""
        self._memory.close()
        os.close(self.descriptor)
