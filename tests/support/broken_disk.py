"""Disks that break on request: one that is full, and one whose writes fail with an error of the system."""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("failing_writes.c")
_DETACH = 2
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Disk:
    """
    A disk.

    Attributes:
        break_it: From now on it takes no more data.
        mend: From now on it does.
        environment: Of the processes for which it breaks.
    """

    break_it: Callable[[], object]
    mend: Callable[[], object]
    environment: Mapping[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def small(folder: Path, size: str) -> Iterator[Disk]:
    """A file system of this size, which becomes full. All processes see it, unlike one of `small_disk.py`."""
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={size},mode=0700".encode()
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", ctypes.c_ulong(0), options) != 0:
        pytest.skip("this process may not mount a disk")
    filler = folder / "filler"

    def fill() -> None:
        with contextlib.suppress(OSError), filler.open("ab", buffering=0) as room:
            while room.write(b"\0" * _CHUNK) == _CHUNK:
                pass

    try:
        yield Disk(fill, filler.unlink)
    finally:
        libc.umount2(os.fsencode(folder), _DETACH)


@contextlib.contextmanager
def failing(folder: Path, scratch: Path, error: int) -> Iterator[Disk]:
    """A folder in which each write fails with this error of the system, as `EIO` or `EROFS`."""
    folder.mkdir()
    library, control = scratch / "failing_writes.so", scratch / "failing"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"]
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        pytest.skip("there is no C compiler")

    def break_it() -> None:
        new = control.with_suffix(".new")
        new.write_text(str(error))
        new.replace(control)

    environment = {
        "LD_PRELOAD": str(library),
        "FAILING_WRITES": str(control),
        "FAILING_FOLDER": str(folder),
    }
    yield Disk(break_it, control.unlink, environment)
