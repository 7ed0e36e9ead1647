"""
The application of the Python jobs, for tminus and its peer: a function that notes when it started.

The notes are memory shared with the bench. A note needs no system call and does not release the GIL.
"""

import argparse
import mmap
import os
import struct
import time

from flask import Flask

app = Flask("noting")

NOTE = struct.Struct("=qq")  #: wall clock of the first start, and number of starts

_memory = mmap.mmap(os.open(os.environ["BENCH_NOTES"], os.O_RDWR), 0)


def words() -> argparse.Namespace:
    """Return the arguments of a peer: `--at NS --n N`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", type=int, required=True)
    parser.add_argument("--n", type=int, required=True)
    return parser.parse_args()


def note(index: int) -> None:
    """Note that the function started now."""
    at_ns = time.time_ns()
    first_ns, times = NOTE.unpack_from(_memory, index * NOTE.size)
    NOTE.pack_into(_memory, index * NOTE.size, first_ns or at_ns, times + 1)
