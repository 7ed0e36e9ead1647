"""A small disk of a process's own: a file system in memory that nobody else sees."""

import ctypes
import os
from pathlib import Path

_NEW_MOUNTS, _RECURSIVE_PRIVATE, _READ_ONLY_AGAIN = 0x20000, 0x44000, 0x21


def _mount(folder: str, options: bytes) -> bool:
    """Mount one there, for this process and its children; False where we may not."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(_NEW_MOUNTS) != 0:
        return False
    private = libc.mount(b"none", b"/", None, ctypes.c_ulong(_RECURSIVE_PRIVATE), None) == 0
    return private and bool(libc.mount(b"tmpfs", folder.encode(), b"tmpfs", ctypes.c_ulong(0), options) == 0)


def with_room(folder: str) -> Path | None:
    """Mount one of 1 MB there, and say which file takes up its last third; None where we may not."""
    if not _mount(folder, b"size=1m"):
        return None
    room = Path(folder) / "room"
    room.write_bytes(b"x" * 300_000)
    return room


def remount_read_only(folder: str) -> None:
    """From now on nothing is written there."""
    ctypes.CDLL(None).mount(b"tmpfs", folder.encode(), b"tmpfs", ctypes.c_ulong(_READ_ONLY_AGAIN), None)
