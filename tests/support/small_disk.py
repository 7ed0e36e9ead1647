"""A small disk of one process: a file system in memory that no other process sees."""

import ctypes
import os
from pathlib import Path

_NEW_MOUNTS, _RECURSIVE_PRIVATE, _READ_ONLY_AGAIN = 0x20000, 0x44000, 0x21


def _mount(folder: str, options: bytes) -> bool:
    """Mount a disk there, for this process and its children; return False if that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(_NEW_MOUNTS) != 0:
        return False
    private = libc.mount(b"none", b"/", None, ctypes.c_ulong(_RECURSIVE_PRIVATE), None) == 0
    return private and bool(libc.mount(b"tmpfs", folder.encode(), b"tmpfs", ctypes.c_ulong(0), options) == 0)


def with_room(folder: str) -> Path | None:
    """Mount a disk of 1 MB there; return the file that takes up a third of it, None if that is not allowed."""
    if not _mount(folder, b"size=1m"):
        return None
    room = Path(folder) / "room"
    room.write_bytes(b"x" * 300_000)
    return room


def mount_small_disk(folder: str) -> None:
    """
    Mount a disk of 64 MB there.

    Raises:
        PermissionError: that is not allowed.
    """
    if not _mount(folder, b"size=64m"):
        raise PermissionError("only root may mount a disk")


def remount_read_only(folder: str) -> None:
    """Make the disk read-only."""
    ctypes.CDLL(None).mount(b"tmpfs", folder.encode(), b"tmpfs", ctypes.c_ulong(_READ_ONLY_AGAIN), None)
