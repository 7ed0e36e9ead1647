"""
The journal: a file in which a process keeps outcomes while the database refuses them, until the next start.

A line is a JSON document with a checksum, so that a line that was cut off is left out. The first line names
the version of the format and the process. The ledger has a row for each process, so a journal belongs to
exactly one ledger, whatever its host and its path are called.
"""

import contextlib
import errno
import json
import os
import stat
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sqlalchemy.engine import URL

from tminus import crash_points
from tminus.ledger import files

_VERSION = 1
#: Taken from the disk at the start, so that a disk that is full later still takes some hundred outcomes.
RESERVE_BYTES = 256 << 10
MOST_BYTES = 64 << 20
_UNREADABLE = ".unreadable"


class NotAJournal(ValueError):
    """A file that cannot be read as a journal. The text says why."""


@dataclass(frozen=True, slots=True)
class JournalPlace:
    """
    Where the journals of a ledger are: `prefix` and the id of a process, in `folder`.

    Attributes:
        like: The file whose owner, group and mode a journal gets; None for a mode of 0600.
    """

    folder: Path
    prefix: str
    like: Path | None = None

    @classmethod
    def of(cls, url: URL, path: Path | None, environ: Mapping[str, str]) -> Self:
        """
        Return the place for a ledger: beside its file, or in this user's folder for state.

        Args:
            url: The database.
            path: The file of a SQLite ledger.
            environ: The environment.
        """
        if path is not None:
            return cls(path.parent, f"{path.name}.outcomes-", path)
        named = environ.get("STATE_DIRECTORY", "").split(":")[0]
        folder = Path(named) if named else files.own_folder(environ)
        return cls(folder, f"{url.get_backend_name()}.outcomes-")

    def file(self, instance: str) -> Path:
        """Return the journal of this process."""
        return self.folder / f"{self.prefix}{instance}"

    def find(self) -> list[Path]:
        """Return all journals that were not set aside, oldest first."""
        found = []
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.startswith(self.prefix) and not entry.name.endswith(_UNREADABLE):
                    with contextlib.suppress(FileNotFoundError):
                        found.append((entry.stat(follow_symlinks=False).st_mtime_ns, Path(entry.path)))
        return [path for _, path in sorted(found)]


class Journal:
    """
    The journal of this process. Not thread-safe.

    Attributes:
        is_empty: Whether it has no record.
    """

    def __init__(self, place: JournalPlace, instance: str) -> None:
        self.file = place.file(instance)
        self.is_empty = True
        self._place = place
        self._first = _line({"version": _VERSION, "instance": instance})
        self._descriptor: int | None = None
        self._end = 0

    def open(self) -> None:
        """
        Create the file, and take its reserve from the disk.

        Raises:
            OSError: that is not possible now; `append` tries again.
        """
        self._opened()

    def _opened(self) -> int:
        if self._descriptor is not None and not self.is_gone:
            return self._descriptor
        self.close()
        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.file, flags, 0o600)
        self._descriptor, self._end = descriptor, 0
        try:
            self._share(descriptor)
            with contextlib.suppress(OSError):  # a disk that is nearly full, or cannot reserve
                os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
            self._write(descriptor, self._first)
            _sync_folder(self.file.parent)
        except OSError:
            self.remove()
            raise
        return descriptor

    @property
    def is_gone(self) -> bool:
        """Whether somebody has removed the file, with its records."""
        return self._descriptor is not None and not os.fstat(self._descriptor).st_nlink

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """
        Append records, which are durable when this returns. If it raises, they are to be appended again: the
        file may have some of them, but the next call overwrites those.

        Raises:
            OSError: they cannot be written now, or the journal would become too large.
        """
        descriptor = self._opened()
        lines = b"".join(map(_line, records))
        if self._end + len(lines) > MOST_BYTES:
            raise OSError(errno.EFBIG, f"it would have more than {MOST_BYTES >> 20} MiB")
        self.is_empty = False
        crash_points.passed("journal-append")
        self._write(descriptor, lines)
        crash_points.passed("journal-appended")

    def clear(self) -> None:
        """
        Remove all records, because the ledger has them.

        Raises:
            OSError: the file cannot be written. A replay of its records changes nothing.
        """
        if self._descriptor is None:
            return
        os.ftruncate(self._descriptor, len(self._first))
        with contextlib.suppress(OSError):
            os.posix_fallocate(self._descriptor, 0, RESERVE_BYTES)
        os.fsync(self._descriptor)
        self._end, self.is_empty = len(self._first), True

    def remove(self) -> None:
        """Close and remove the file."""
        self.close()
        with contextlib.suppress(OSError):
            self.file.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file, and leave it for the next start."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, descriptor: int, data: bytes) -> None:
        try:
            done = 0
            while done < len(data):
                done += os.pwrite(descriptor, data[done:], self._end + done)
            os.fsync(descriptor)
        except OSError:
            # The first of the lines is not valid then. If this fails, too, the next append overwrites it.
            with contextlib.suppress(OSError):
                os.pwrite(descriptor, b"\n", self._end)
            raise
        self._end += len(data)

    def _share(self, descriptor: int) -> None:
        """Give the file the owner, the group and the mode of the ledger: its group may replay it, too."""
        if self._place.like is None:
            os.fchmod(descriptor, 0o600)
            return
        status = self._place.like.stat()
        with contextlib.suppress(PermissionError):  # not a member of that group
            os.fchown(descriptor, status.st_uid if os.geteuid() == 0 else -1, status.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode))


@dataclass(frozen=True, slots=True)
class JournalContent:
    """
    What a journal holds.

    Attributes:
        instance: The process that wrote it.
        records: Its records, first to last.
        damaged: The number of lines that were left out because they are cut off or changed.
    """

    instance: str
    records: list[dict[str, Any]]
    damaged: int


def read(file: Path) -> JournalContent:
    """
    Read a journal.

    Raises:
        NotAJournal: it is not a regular file, has several hard links, is too large, or has no valid first
            line of this version.
        OSError: it cannot be read.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as opened:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise NotAJournal("it is not a regular file, or has several hard links")
        if status.st_size > MOST_BYTES:
            raise NotAJournal(f"it has more than {MOST_BYTES >> 20} MiB")
        lines = [line for line in opened.read().split(b"\n") if line.strip(b"\0")]
    parsed = list(_parse(lines))
    first = parsed[0] if parsed else None
    if first is None:
        raise NotAJournal("it has no valid first line")
    if first.get("version") != _VERSION:
        raise NotAJournal(f"its version is {first.get('version')!r:.20}, and this tminus reads {_VERSION}")
    records = [record for record in parsed[1:] if record is not None]
    return JournalContent(str(first.get("instance")), records, len(parsed) - 1 - len(records))


def set_aside(file: Path) -> Path:
    """
    Rename a journal that cannot be read, so that no later start replays it. Return its new name.

    Raises:
        OSError: it cannot be renamed.
    """
    return file.rename(file.with_name(file.name + _UNREADABLE))


def _line(record: Mapping[str, Any]) -> bytes:
    text = _text(record)
    return f'{{"crc32":{zlib.crc32(text.encode())},"record":{text}}}\n'.encode()


def _parse(lines: Sequence[bytes]) -> Iterator[dict[str, Any] | None]:
    """Yield the record of each line; None for one that is not valid."""
    for line in lines:
        record = None
        with contextlib.suppress(ValueError, RecursionError):
            match json.loads(line):
                case {"crc32": int(checksum), "record": dict(found)}:
                    record = found if zlib.crc32(_text(found).encode()) == checksum else None
        yield record


def _text(record: Mapping[str, Any]) -> str:
    return json.dumps(record, separators=(",", ":"), sort_keys=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
