"""
The application of the Python jobs, tminus's and its peer's: a function that notes when it was entered.

The notes are memory shared with the bench, which reads them from outside: no system call, and nobody hands over the GIL for it.
"""

import mmap
import os
import struct
import time

from flask import Flask

app = Flask("noting")

NOTE = struct.Struct("=qq")  #: wall clock of the first time, and how many times

_memory = mmap.mmap(os.open(os.environ["BENCH_NOTES"], os.O_RDWR), 0)


def note(index: int) -> None:
    """It was entered now."""
    at_ns = time.time_ns()
    first_ns, times = NOTE.unpack_from(_memory, index * NOTE.size)
    NOTE.pack_into(_memory, index * NOTE.size, first_ns or at_ns, times + 1)
