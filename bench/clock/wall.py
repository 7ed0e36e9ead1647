"""The wall clock of a daemon and all that it starts. It can be set. The machine keeps its own clock."""

import mmap
import struct
import time
from pathlib import Path

from bench.installed import compiled
from bench.waiting import pause

SOURCE = Path(__file__).with_name("wall.c")
_NEVER_NS = 2**63 - 1
_OFFSET = struct.Struct("q")


def build(folder: Path) -> Path:
    """
    Compile the library that processes with another wall clock are started with.

    Raises:
        NotInstalled: the compiler or the C library is missing.
    """
    return compiled(SOURCE, folder, "-shared", "-fPIC", "-ldl")


class Wall:
    """
    A wall clock.

    Args:
        library: From `build`.
        file: A file for this clock.
    """

    def __init__(self, library: Path, file: Path) -> None:
        file.write_bytes(_OFFSET.pack(0))
        self.environment = {"LD_PRELOAD": str(library), "BENCH_CLOCK": str(file)}
        with file.open("r+b") as opened:
            self._memory = mmap.mmap(opened.fileno(), _OFFSET.size)
        self._steps = [(time.monotonic_ns(), 0)]  #: since when it had which offset; monotonic clock

    @property
    def offset_ns(self) -> int:
        """This clock minus the machine's."""
        return int(_OFFSET.unpack_from(self._memory)[0])

    def now_ns(self) -> int:
        """Return the time that this clock shows."""
        return time.time_ns() + self.offset_ns

    def step(self, by_ns: int) -> None:
        """Set the clock forward or back."""
        offset_ns = self.offset_ns + by_ns
        self._steps.append((time.monotonic_ns(), offset_ns))
        _OFFSET.pack_into(self._memory, 0, offset_ns)

    def show(self, instant_ns: int) -> None:
        """Set the clock to this instant."""
        self.step(instant_ns - self.now_ns())

    def first_shown_ns(self, instant_ns: int) -> int:
        """Return when this clock first showed this instant or a later one, by the monotonic clock."""
        kernels_ns = time.time_ns() - time.monotonic_ns()
        ends = [*(since_ns for since_ns, _ in self._steps[1:]), _NEVER_NS]
        for (since_ns, offset_ns), end_ns in zip(self._steps, ends, strict=True):
            if (shown_ns := max(since_ns, instant_ns - offset_ns - kernels_ns)) < end_ns:
                return shown_ns
        return _NEVER_NS

    def wait_until(self, instant_ns: int) -> None:
        """Sleep until this clock shows about this instant."""
        while (left_ns := instant_ns - self.now_ns()) > 0:
            pause(min(left_ns / 1e9, 0.1) if left_ns > 2_000_000 else 0)
