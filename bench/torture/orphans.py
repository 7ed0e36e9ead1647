"""Processes that a daemon has left behind. This process adopts them, and so finds them."""

import contextlib
import ctypes
import os
import signal
from collections.abc import Collection
from pathlib import Path

from bench.memory import family
from bench.waiting import eventually

_SUBREAPER = 36
#: Words in the commands of processes that no daemon has started: a database, and a server of the tests.
_OTHERS = ("postgres", "tests.support.warm")


def adopt_orphans() -> None:
    """Become the parent of descendants whose parent ends."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def end_orphans(patience_s: float, *, spared: Collection[int]) -> list[str]:
    """
    Wait this long for all descendants to end. Kill the others, and return their commands.
    """
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
            is_other = any(word in words for word in _OTHERS)
            if words and pid not in spared and not is_other:  # a zombie has no command line
                found[pid] = words[:150]
    return found
