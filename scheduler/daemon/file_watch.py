"""The file watch: notices when the jobs file, or a file that it includes, has changed."""

import contextlib
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog
import watchfiles

from scheduler.jobsfile.files import DoesNotAnswer, in_time

log = structlog.get_logger()

#: Between two looks at whether the folders are still those that are watched.
_LOOK_MS = 2_000
_NOT_WATCHED = "the jobs file is not watched; SIGHUP reloads it"
#: A file system that takes longer hangs.
_HANGS_S = 1.0


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
        try:
            files = in_time(lambda: _places(paths), _HANGS_S)
        except RuntimeError as error:
            log.warning(_NOT_WATCHED, error=str(error))
            return
        except DoesNotAnswer:
            log.warning("the file system of the jobs file does not answer; what was watched before is watched")
            return
        if self._thread is not None and self._thread.is_alive() and files == self._files:
            return  # a new watch would miss a change in between
        self.stop()
        self._files, self._stop = files, threading.Event()
        thread = threading.Thread(target=self._watch, args=(files, self._stop), name="file-watch", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            log.warning(_NOT_WATCHED, error=str(error))
        else:
            self._thread = thread

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_HANGS_S)
            self._thread = None

    def _watch(self, files: set[str], stop: threading.Event) -> None:
        def is_ours(_change: watchfiles.Change, path: str) -> bool:
            return path in files or path.endswith((".yaml", ".yml"))

        folders = {str(Path(file).parent) for file in files}
        watched = _identities(folders)
        while not stop.is_set():
            try:
                for changes in watchfiles.watch(
                    *folders,
                    watch_filter=is_ours,
                    stop_event=stop,
                    recursive=False,
                    raise_interrupt=False,
                    yield_on_timeout=True,
                    rust_timeout=_LOOK_MS,
                ):
                    is_replaced = _identities(folders) != watched
                    if changes or is_replaced:
                        self._changed()
                    if is_replaced:
                        break
            except FileNotFoundError:  # a folder has gone, and its successor is not there yet
                stop.wait(_LOOK_MS / 1000)
            except (OSError, RuntimeError) as error:  # a RuntimeError if the system has no watch left
                log.warning(_NOT_WATCHED, error=str(error))
                return
            watched = _identities(folders)


def _places(paths: Iterable[str]) -> set[str]:
    """Return the paths of these files, and the paths that their links lead to."""
    return {str(place) for path in paths for place in (Path(path).absolute(), Path(path).resolve())}


def _identities(folders: Iterable[str]) -> set[tuple[int, int]]:
    """Return the identities of folders, because another folder may get the same name, or a link may lead elsewhere."""
    found = set()
    for folder in folders:
        with contextlib.suppress(OSError):
            about = Path(folder).stat()
            found.add((about.st_dev, about.st_ino))
    return found
