"""The file watch: notices when the jobs file, or a file that it includes, has changed."""

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog
import watchfiles

from tminus.daemon.service_thread import ServiceThread
from tminus.secrets.files import DoesNotAnswer, in_time

log = structlog.get_logger()

#: Time between two checks whether the watched folders were replaced.
_LOOK_MS = 2_000
_NOT_WATCHED = "the jobs file is not watched; SIGHUP reloads it"
#: A file system that takes longer hangs.
_HANGS_S = 1.0


class FileWatch:
    """
    Watches the folders of some files, since editors replace files and `include:` finds new ones. Belongs to
    one thread.

    Args:
        on_change: Called on a thread of its own, once for a burst of changes.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._watch: _FolderWatch | None = None

    def start(self, paths: Iterable[str]) -> None:
        """Watch these files from now on, and no others."""
        try:
            files = in_time(lambda: _places(paths), _HANGS_S)
        except RuntimeError as error:
            log.warning(_NOT_WATCHED, error=str(error))
            return
        except DoesNotAnswer:
            log.warning(
                "the file system of the jobs file does not answer; what was watched before is watched"
            )
            return
        if self._watch is not None and self._watch.is_alive and files == self._watch.files:
            return  # a new watch would miss changes between the two
        self.stop()
        self._watch = _FolderWatch(files, self._on_change)
        try:
            self._watch.start()
        except RuntimeError as error:
            log.warning(_NOT_WATCHED, error=str(error))

    def stop(self) -> None:
        """Stop watching."""
        if self._watch is not None:
            self._watch.stop(_HANGS_S)
            self._watch = None


class _FolderWatch(ServiceThread):
    """Watches the folders of these files."""

    def __init__(self, files: set[str], on_change: Callable[[], None]) -> None:
        super().__init__("file-watch", self._watch, pause_s=_LOOK_MS / 1000)
        self.files = files
        self._on_change = on_change

    def _watch(self) -> None:
        folders = {str(Path(file).parent) for file in self.files}
        watched = _identities(folders)
        while not self.stopping.is_set():
            try:
                for changes in watchfiles.watch(
                    *folders,
                    watch_filter=self._is_ours,
                    stop_event=self.stopping,
                    recursive=False,
                    raise_interrupt=False,
                    yield_on_timeout=True,
                    rust_timeout=_LOOK_MS,
                ):
                    is_replaced = _identities(folders) != watched
                    if changes or is_replaced:
                        self._on_change()
                    if is_replaced:
                        watched = _identities(folders)
                        break
            except FileNotFoundError:  # a folder has gone, and its successor is not there yet
                self.stopping.wait(_LOOK_MS / 1000)
            except (OSError, RuntimeError) as error:  # a RuntimeError if the system has no watch left
                log.warning(_NOT_WATCHED, error=str(error))
                self.stopping.set()

    def _is_ours(self, _change: watchfiles.Change, path: str) -> bool:
        return path in self.files or path.endswith((".yaml", ".yml"))


def _places(paths: Iterable[str]) -> set[str]:
    """Return the paths of these files, and the paths that their links lead to."""
    return {str(place) for path in paths for place in (Path(path).absolute(), Path(path).resolve())}


def _identities(folders: Iterable[str]) -> set[tuple[int, int]]:
    """
    Return the identities of folders, because another folder may get the same name, or a link may lead
    elsewhere.
    """
    found = set()
    for folder in folders:
        with contextlib.suppress(OSError):
            about = Path(folder).stat()
            found.add((about.st_dev, about.st_ino))
    return found
