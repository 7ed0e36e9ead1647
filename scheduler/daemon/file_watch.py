"""The file watch: tells when the jobs file, or one that it includes, has changed."""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog
import watchfiles

log = structlog.get_logger()


class FileWatch:
    """
    Watches the folders of some files, since editors replace files and `include:` finds new ones. Belongs to one thread.

    Args:
        changed: Called on a thread of its own, once for a burst of changes.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._files: set[str] = set()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, paths: Iterable[str]) -> None:
        """Watch these files from now on, and no others."""
        files = {str(place) for path in paths for place in (Path(path).absolute(), Path(path).resolve())}
        if self._thread is not None and self._thread.is_alive() and files == self._files:
            return  # to look away for a moment would miss a change
        self.stop()
        self._files, self._stop = files, threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(files, self._stop), name="file-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _watch(self, files: set[str], stop: threading.Event) -> None:
        def is_ours(_change: watchfiles.Change, path: str) -> bool:
            return path in files or path.endswith((".yaml", ".yml"))

        folders = {str(Path(file).parent) for file in files}
        try:
            for _ in watchfiles.watch(*folders, watch_filter=is_ours, stop_event=stop, recursive=False, raise_interrupt=False):
                self._changed()
        except (OSError, RuntimeError) as error:  # a RuntimeError where the system has no watch left to give
            log.warning("the jobs file is no longer watched; SIGHUP reloads it", error=str(error))
