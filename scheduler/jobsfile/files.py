"""Files that people name: regular ones only, read once, never blocking, with a plain reason where that fails."""

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

from scheduler.aside import aside, is_done

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
    """Why a file cannot be read, in words that follow its name."""


class DoesNotAnswer(CannotRead):
    """Its file system hangs, as a network file system does."""

    def __init__(self) -> None:
        super().__init__(HANGS)


@dataclass(frozen=True, slots=True)
class FileContent:
    """What was read, and the file's permission bits at that moment."""

    data: bytes
    mode: int


def read_file(path: str, *, limit: int) -> FileContent:
    """
    Read a regular file.

    Args:
        path: Where it is.
        limit: Bytes; a longer file is refused.

    Raises:
        CannotRead: it is not there, not readable, not a regular file, or too large.
    """
    with _open(path) as file:
        try:
            content = FileContent(file.read(limit + 1), stat.S_IMODE(os.fstat(file.fileno()).st_mode))
        except OSError as error:
            raise CannotRead(_reason(error)) from None
    if len(content.data) > limit:
        raise CannotRead(f"too large, more than {f'{limit >> 20} MiB' if limit >> 20 else f'{limit >> 10} KiB'}")
    return content


def check_file(path: str) -> None:
    """
    Open a regular file, and close it again.

    Raises:
        CannotRead: it is not there, not readable, or not a regular file.
    """
    _open(path).close()


def in_time(look: Callable[[], _Found], timeout_s: float) -> _Found:
    """
    Look at files on a thread of its own, which is left behind if the file system hangs.

    Raises:
        DoesNotAnswer: there is no answer by then.
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
