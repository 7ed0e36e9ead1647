"""The file watch notices whatever changes what the name of a jobs file means."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.daemon import eventually
from tests.support.moments import PATIENCE_S
from tests.support.threads import no_thread
from tminus.daemon import file_watch
from tminus.daemon.file_watch import FileWatch


@contextmanager
def watching(path: Path) -> Iterator[threading.Event]:
    """A watch on that file, which has begun: a change of it was noticed. The event is set by the next one."""
    changed = threading.Event()
    watch = FileWatch(changed.set)
    watch.start([str(path)])
    try:
        begins(path, changed)
        yield changed
    finally:
        watch.stop()


def begins(path: Path, changed: threading.Event) -> None:
    """Wait until a change of the file is noticed, and those are over that were made for this."""

    def is_noticed() -> bool:
        path.write_text("another")
        return changed.wait(0.5)

    eventually(is_noticed, what="a change is noticed")
    changed.clear()
    while changed.wait(2):
        changed.clear()


def release(folder: Path, name: str) -> Path:
    """A folder of a release, with a jobs file."""
    (made := folder / name).mkdir()
    (made / "jobs.yaml").write_text(name)
    return made


def by_a_link(folder: Path) -> tuple[Path, Callable[[], object]]:
    """`current` is a link to a release: another one takes its place at once."""
    (current := folder / "current").symlink_to(release(folder, "one"))
    (following := folder / "next").symlink_to(release(folder, "two"))
    return current, lambda: following.rename(current)


def by_moving(folder: Path) -> tuple[Path, Callable[[], object]]:
    """The folder is moved away, and another one moved to its place."""
    current, following = release(folder, "current"), release(folder, "two")
    return current, lambda: (current.rename(folder / "old"), following.rename(current))


@pytest.mark.parametrize("deploy", [by_a_link, by_moving])
def test_another_folder_in_the_place_of_the_watched_one_is_a_change_and_is_watched(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    deploy: Callable[[Path], tuple[Path, Callable[[], object]]],
) -> None:
    monkeypatch.setattr(file_watch, "_LOOK_MS", 100)
    current, change = deploy(tmp_path)
    with watching(current / "jobs.yaml") as changed:
        change()
        assert changed.wait(PATIENCE_S)
        begins(current / "jobs.yaml", changed)


def test_a_folder_that_comes_back_is_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_watch, "_LOOK_MS", 100)
    current, successor = release(tmp_path, "current"), release(tmp_path, "two")
    with watching(current / "jobs.yaml") as changed:
        current.rename(tmp_path / "old")
        assert changed.wait(PATIENCE_S)
        while changed.wait(1):
            changed.clear()
        successor.rename(current)
        assert changed.wait(PATIENCE_S)


def test_without_a_thread_nothing_is_watched_and_the_watch_stops_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jobs.yaml").touch()
    watch = FileWatch(lambda: None)
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    watch.start([str(tmp_path / "jobs.yaml")])
    watch.stop()
