"""
The memory of a process with a new thread for each batch.

Source: mallopt(3) of glibc. Other C libraries have no arenas.
"""

import contextlib
import ctypes

_M_ARENA_MAX = -8
#: Enough, because threads of Python allocate one after another.
_ARENAS = 2


def limit_arenas() -> None:
    """
    Let all threads take memory from a few arenas. By default there are eight per core, and each batch leaves
    free memory in another one. Call this before the first thread starts.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
