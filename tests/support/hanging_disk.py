"""
A file system that hangs on request: opening or reading one of its files then takes until it is unmounted.

This process serves it by the protocol of fuse(4). It has one folder of files.
"""

import contextlib
import ctypes
import os
import select
import stat
import struct
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

_FORCE_AND_DETACH = 3  # umount2(2)
_LOOKUP, _FORGET, _GETATTR, _OPEN, _READ, _INIT, _OPENDIR, _BATCH_FORGET = 1, 2, 3, 14, 15, 26, 27, 42
_RELEASES = (18, 25, 29)
_LOOK_S = 0.02
_HEADER = struct.Struct("=IIQQIIIHH")
_ATTRIBUTES = struct.Struct("=6Q10I")
_ROOT = 1
_NO_ENTRY, _UNKNOWN = -2, -38


class HangingDisk:
    """Thread-safe."""

    def __init__(self, folder: Path, files: Mapping[str, bytes]) -> None:
        self.folder = folder
        self._files = dict(enumerate(files.items(), start=_ROOT + 1))
        self._hangs = threading.Event()
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"hanging", os.fsencode(folder), b"fuse", ctypes.c_ulong(0), options) != 0:
            os.close(self._device)
            raise OSError(ctypes.get_errno(), "the disk cannot be mounted")
        self._thread = threading.Thread(target=self._serve, name="hanging disk", daemon=True)
        self._thread.start()

    def hang(self) -> None:
        """
        Take no further request. A process that waits for a response can be killed.
        """
        self._hangs.set()
        self._thread.join()

    def close(self) -> None:
        """Unmount the file system: each request that waits gets an error."""
        ctypes.CDLL(None).umount2(os.fsencode(self.folder), _FORCE_AND_DETACH)
        self.hang()
        os.close(self._device)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # unmounted
            while not self._hangs.is_set():
                if not select.select([self._device], [], [], _LOOK_S)[0]:
                    continue
                request = os.read(self._device, 1 << 20)
                _, code, unique, node, *_ = _HEADER.unpack_from(request)
                if code not in (_FORGET, _BATCH_FORGET):
                    error, answer = self._answer(code, node, request[_HEADER.size :])
                    os.write(self._device, struct.pack("=IiQ", 16 + len(answer), error, unique) + answer)

    def _answer(self, code: int, node: int, body: bytes) -> tuple[int, bytes]:
        if code == _INIT:
            return 0, struct.pack("=4I2H2I2H8I", 7, 31, 0, 0, 16, 12, 1 << 16, 1, 0, 0, *[0] * 8)
        if code == _LOOKUP:
            found = [
                number for number, (name, _) in self._files.items() if os.fsencode(name) == body.rstrip(b"\0")
            ]
            # Nothing is remembered: each look is asked for here again.
            return (
                (0, struct.pack("=4Q2I", found[0], 0, 0, 0, 0, 0) + self._attributes(found[0]))
                if found
                else (_NO_ENTRY, b"")
            )
        if code == _GETATTR:
            return 0, struct.pack("=Q2I", 0, 0, 0) + self._attributes(node)
        if code in (_OPEN, _OPENDIR):
            return 0, struct.pack("=Q2I", 0, 1, 0)  # FOPEN_DIRECT_IO: each read is asked for here
        if code == _READ and node in self._files:
            _, offset, size = struct.unpack_from("=2QI", body)
            return 0, self._files[node][1][offset : offset + size]
        return (0, b"") if code in (*_RELEASES, _READ) else (_UNKNOWN, b"")

    def _attributes(self, node: int) -> bytes:
        size, mode = (
            (0, stat.S_IFDIR | 0o755) if node == _ROOT else (len(self._files[node][1]), stat.S_IFREG | 0o644)
        )
        return _ATTRIBUTES.pack(node, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


@contextlib.contextmanager
def hanging_disk(folder: Path, files: Mapping[str, bytes]) -> Iterator[HangingDisk]:
    """Yield a file system that is mounted there, and works until it is told to hang."""
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("only root may mount a disk, and there must be /dev/fuse")
    folder.mkdir()
    disk = HangingDisk(folder, files)
    try:
        yield disk
    finally:
        disk.close()
