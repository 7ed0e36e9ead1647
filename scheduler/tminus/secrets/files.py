"""
Files that users name: regular files only, read once, without blocking, and with a plain reason on failure.
"""

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

from tminus.aside import aside, is_done

_Found = TypeVar("_Found")

_KINDS = {
    stat.S_IFDIR: "is a directory",
    stat.S_IFIFO: "is a FIFO",
    stat.S_IFSOCK: "is a socket",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
}
_REASONS = {
    errno.ENOENT: "no such file",
    errno.ENOTDIR: "no such file",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ELOOP: "its symbolic links go round in a circle",
    errno.ENXIO: "is a socket",
    errno.ENAMETOOLONG: "its name is too long",
}

HANGS = "its file system does not answer"


class CannotRead(Exception):
    """The error for a file that cannot be read. Its message continues a sentence after the file's name."""


class FileNotFound(CannotRead):
    """The error for a file that is not there."""


class DoesNotAnswer(CannotRead):
    """The error for a file system that hangs, as a network file system may."""

    def __init__(self) -> None:
        super().__init__(HANGS)


@dataclass(frozen=True, slots=True)
class FileContent:
    """The content of a file, and its permission bits at that moment."""

    data: bytes
    mode: int


def read_file(path: str, *, limit: int) -> FileContent:
    """
    Read a regular file.

    Args:
        path: The path of the file.
        limit: The largest number of bytes. A longer file is refused.

    Raises:
        CannotRead: it is missing, not readable, not a regular file, or too long.
    """
    with _open(path) as file:
        try:
            content = FileContent(file.read(limit + 1), stat.S_IMODE(os.fstat(file.fileno()).st_mode))
        except OSError as error:
            raise CannotRead(_reason(error)) from None
    if len(content.data) > limit:
        size = f"{limit >> 20} MiB" if limit >> 20 else f"{limit >> 10} KiB"
        raise CannotRead(f"too large, more than {size}")
    return content


def check_file(path: str) -> None:
    """
    Open a regular file, and close it again.

    Raises:
        CannotRead: it is missing, not readable, or not a regular file.
    """
    _open(path).close()


def in_time(look: Callable[[], _Found], timeout_s: float) -> _Found:
    """
    Run a function that uses files on a thread of its own, and return its result. If the file system hangs,
    the thread is abandoned.

    Raises:
        DoesNotAnswer: the function has not returned in time.
        RuntimeError: no thread can be started.
    """
    found = aside(look, name="look-at-file")
    if not is_done(found, timeout_s):
        raise DoesNotAnswer
    return found.result()


def _open(path: str) -> BinaryIO:
    try:
        # Without O_NONBLOCK, opening a FIFO waits for a writer.
        return open(path, "rb", opener=lambda name, flags: _regular(os.open(name, flags | os.O_NONBLOCK)))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFound(_reason(error)) from None
    except OSError as error:
        raise CannotRead(_reason(error)) from None
    except UnicodeEncodeError:
        raise CannotRead("its name is not UTF-8") from None
    except ValueError:
        raise CannotRead("its name holds a NUL") from None


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0, os.strerror(error.errno or errno.EIO).lower())


def _regular(descriptor: int) -> int:
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    raise CannotRead(_KINDS.get(stat.S_IFMT(mode), "is not a regular file"))
