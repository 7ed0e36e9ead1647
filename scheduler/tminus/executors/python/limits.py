"""The limits of this process, and the errors that a reached limit causes."""

import errno
import resource

#: A runner never needs more descriptors than this.
_MOST_DESCRIPTORS = 1 << 16
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOSPC}


def raise_descriptor_limit() -> tuple[int, int]:
    """Raise the soft limit of open files; return the limits from before, for `restore_descriptor_limit`."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = before
    most = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return before


def restore_descriptor_limit(before: tuple[int, int]) -> None:
    """Undo `raise_descriptor_limit`, because a job may start a program that uses select(2), up to 1024."""
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def is_exhausted(error: BaseException) -> bool:
    """Return whether the machine has run out of descriptors, processes, threads or memory."""
    if isinstance(error, OSError):
        return error.errno in _EXHAUSTED
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "can't start new thread" in str(error)
    )
