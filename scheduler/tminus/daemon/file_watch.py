"""The file watch: notices when the jobs file, or a file that it includes, has changed."""

import glob
import os
from collections.abc import Callable, Iterable, Mapping

import structlog

from tminus.daemon.service_thread import ServiceThread

log = structlog.get_logger()

#: Time between two looks at the files.
_LOOK_S = 0.5

#: For each path, numbers that tell one version of its file from another; None if there is no file.
_Versions = Mapping[str, tuple[int, ...] | None]


class FileWatch(ServiceThread):
    """
    Looks at some files again and again. Notifications of the kernel would miss folders that are replaced or
    missing, and network file systems send none. `watch` and `stop` belong to one thread.

    Args:
        on_change: Called on the thread of the watch after files have changed, once two looks have found the
            same: a file may be written in several steps.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        super().__init__("file-watch", self._look, pause_s=_LOOK_S)
        self._on_change = on_change
        self._patterns: frozenset[str] = frozenset()
        self._last: _Versions = {}  #: at the last look
        self._known: _Versions = {}  #: at the first look, or when `on_change` was called

    def watch(self, patterns: Iterable[str]) -> None:
        """
        Watch the files that match these patterns from now on, and no others. Other files than before count as
        a change, because they may have changed since they were read.
        """
        self._patterns = frozenset(patterns)
        if self._patterns:
            try:
                self.start()
            except RuntimeError as error:
                log.warning("the jobs file is not watched; SIGHUP reloads it", error=str(error))

    def _look(self) -> None:
        before, self._last = self._last, _versions(self._patterns)
        if not self._known or not self._last:
            self._known = self._last
        elif self._last == before and self._last != self._known:
            self._known = self._last
            self._on_change()


def _versions(patterns: Iterable[str]) -> _Versions:
    return {path: _version(path) for pattern in patterns for path in glob.glob(pattern) or [pattern]}


def _version(path: str) -> tuple[int, ...] | None:
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns
