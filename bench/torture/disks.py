"""
Small file systems in memory. Only this process and its children see them, and a fault can fill them.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

_NEW_MOUNTS = 0x20000
_RECURSIVE_PRIVATE = 0x44000
_DETACH = 2
_CHUNK = 1 << 20


@contextlib.contextmanager
def small_disks(folders: dict[Path, str]) -> Iterator[bool]:
    """
    Mount a file system of this size on each folder until the end of the block. Yield False if that is not
    allowed.

    Threads that were started before do not see the file systems.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(_NEW_MOUNTS) != 0:
        yield False
        return
    libc.mount(b"none", b"/", None, ctypes.c_ulong(_RECURSIVE_PRIVATE), None)
    mounted = [
        folder
        for folder, size in folders.items()
        if libc.mount(
            b"tmpfs", os.fsencode(folder), b"tmpfs", ctypes.c_ulong(0), f"size={size},mode=0700".encode()
        )
        == 0
    ]
    try:
        yield len(mounted) == len(folders)
    finally:
        for folder in mounted:
            libc.umount2(os.fsencode(folder), _DETACH)


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Fill the file system until the end of the block."""
    file = folder / "filler"
    try:
        with contextlib.suppress(OSError), file.open("wb", buffering=0) as room:
            size = _CHUNK
            while size:
                if (written := room.write(b"\0" * size) or 0) < size:
                    size = written
        yield
    finally:
        file.unlink(missing_ok=True)
