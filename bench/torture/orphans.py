"""Processes that a daemon has left behind: this process adopts them, and so knows them."""

import contextlib
import ctypes
import os
import signal
from collections.abc import Collection
from pathlib import Path

from bench.memory import family
from bench.waiting import eventually

_SUBREAPER = 36


def adopt_orphans() -> None:
    """From now on descendants whose parent ends become our children."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def end_orphans(patience_s: float, *, spared: Collection[int]) -> list[str]:
    """Wait that long for all descendants to end; return the commands of those that have not, which are killed."""
    eventually(lambda: not _alive(spared), timeout_s=patience_s, every_s=0.5)
    left = _alive(spared)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return [f"{pid} {command}" for pid, command in left.items()]


def _alive(spared: Collection[int]) -> dict[int, str]:
    found = {}
    for pid in family(os.getpid())[1:]:
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
            if words and pid not in spared and "postgres" not in words:  # a zombie has no words
                found[pid] = words[:150]
    return found
