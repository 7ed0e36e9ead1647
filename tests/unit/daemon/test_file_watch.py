"""The file watch notices whatever changes what the name of a jobs file means."""

import glob
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.moments import PATIENCE_S
from tests.support.threads import no_thread
from tminus.daemon import file_watch
from tminus.daemon.file_watch import FileWatch


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> "queue.SimpleQueue[None]":
    """Watches look often; each look puts an item."""
    looks: queue.SimpleQueue[None] = queue.SimpleQueue()
    look = file_watch._versions

    def versions(patterns: Iterable[str]) -> file_watch._Versions:
        looks.put(None)
        return look(patterns)

    monkeypatch.setattr(file_watch, "_versions", versions)
    monkeypatch.setattr(file_watch, "_LOOK_S", 0.01)
    return looks


@contextmanager
def watching(looks: "queue.SimpleQueue[None]", *patterns: Path) -> Iterator[Callable[[str], None]]:
    """
    A watch on these files that has looked at them. Yield a function that waits until they have this text after
    a change.
    """
    changes: queue.SimpleQueue[str] = queue.SimpleQueue()
    watch = FileWatch(lambda: changes.put(content(patterns)))
    watch.watch(map(str, patterns))
    for _ in range(2):  # the second look begins when the first one is over
        looks.get(timeout=PATIENCE_S)

    def wait_for(text: str) -> None:
        while changes.get(timeout=PATIENCE_S) != text:
            pass

    try:
        yield wait_for
    finally:
        assert watch.stop(PATIENCE_S)


def content(patterns: Iterable[Path]) -> str:
    """The texts of the files, in the order of their paths; of those that there are."""
    paths = [Path(path) for pattern in patterns for path in sorted(glob.glob(str(pattern)))]
    texts = []
    for path in paths:
        with suppress(FileNotFoundError):
            texts.append(path.read_text())
    return " ".join(texts)


def release(folder: Path, name: str) -> Path:
    """A folder of a release, with a jobs file."""
    (made := folder / name).mkdir(parents=True)
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
    looks: "queue.SimpleQueue[None]",
    deploy: Callable[[Path], tuple[Path, Callable[[], object]]],
) -> None:
    current, change = deploy(tmp_path)
    with watching(looks, current / "jobs.yaml") as wait_for:
        change()
        wait_for("two")
        (current / "jobs.yaml").write_text("another")
        wait_for("another")


def test_a_folder_that_comes_back_is_a_change(tmp_path: Path, looks: "queue.SimpleQueue[None]") -> None:
    current, successor = release(tmp_path, "current"), release(tmp_path, "two")
    with watching(looks, current / "jobs.yaml") as wait_for:
        current.rename(tmp_path / "old")
        wait_for("")
        successor.rename(current)
        wait_for("two")


def test_while_one_folder_is_missing_changes_in_the_others_are_noticed(
    tmp_path: Path, looks: "queue.SimpleQueue[None]"
) -> None:
    kept, moved = release(tmp_path, "kept"), release(tmp_path, "moved")
    with watching(looks, kept / "jobs.yaml", moved / "jobs.yaml") as wait_for:
        moved.rename(tmp_path / "other")
        wait_for("kept")
        (kept / "jobs.yaml").write_text("another")
        wait_for("another")


def test_after_a_switch_of_a_link_its_earlier_target_may_be_deleted(
    tmp_path: Path, looks: "queue.SimpleQueue[None]"
) -> None:
    current, change = by_a_link(tmp_path)
    with watching(looks, current / "jobs.yaml") as wait_for:
        change()
        wait_for("two")
        (tmp_path / "one").rename(tmp_path / "deleted")
        (current / "jobs.yaml").write_text("another")
        wait_for("another")


def test_other_files_that_change_all_the_time_hide_no_change(
    tmp_path: Path, looks: "queue.SimpleQueue[None]"
) -> None:
    current, change = by_a_link(tmp_path)
    is_over, log = threading.Event(), (current / "app.log").resolve()

    def write() -> None:
        while not is_over.wait(0.01):
            with log.open("a") as file:
                file.write("a line\n")

    writer = threading.Thread(target=write, name="writer")
    with watching(looks, current / "jobs.yaml") as wait_for:
        writer.start()
        try:
            change()
            wait_for("two")
        finally:
            is_over.set()
            writer.join()


def test_a_new_file_that_matches_a_pattern_is_a_change(
    tmp_path: Path, looks: "queue.SimpleQueue[None]"
) -> None:
    (folder := tmp_path / "jobs.d").mkdir()
    with watching(looks, folder / "*.yaml") as wait_for:
        (folder / "a.yaml").write_text("one")
        wait_for("one")
        (folder / "b.yaml").write_text("two")
        wait_for("one two")


def test_a_file_that_is_written_in_steps_is_one_change(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([1, 2, 3, 3])
    changes, is_over = queue.SimpleQueue[int](), threading.Event()
    now = 0

    def versions(_patterns: Iterable[str]) -> file_watch._Versions:
        nonlocal now
        if (following := next(found, None)) is None:
            is_over.set()
        now = following or now
        return {"jobs.yaml": (now,)}

    monkeypatch.setattr(file_watch, "_versions", versions)
    monkeypatch.setattr(file_watch, "_LOOK_S", 0.01)
    watch = FileWatch(lambda: changes.put(now))
    watch.watch(["jobs.yaml"])
    assert is_over.wait(PATIENCE_S)
    assert watch.stop(PATIENCE_S)
    assert (changes.get_nowait(), changes.empty()) == (3, True)


def test_other_files_are_a_change_and_no_files_are_none(
    tmp_path: Path, looks: "queue.SimpleQueue[None]"
) -> None:
    one, two = release(tmp_path, "one"), release(tmp_path, "two")
    changes: queue.SimpleQueue[None] = queue.SimpleQueue()
    watch = FileWatch(lambda: changes.put(None))
    watch.watch([str(one / "jobs.yaml")])
    for _ in range(2):
        looks.get(timeout=PATIENCE_S)
    watch.watch([str(one / "jobs.yaml"), str(two / "jobs.yaml")])
    changes.get(timeout=PATIENCE_S)
    watch.watch([])
    while not looks.empty():
        looks.get_nowait()
    for _ in range(3):
        looks.get(timeout=PATIENCE_S)
    assert watch.stop(PATIENCE_S)
    assert changes.empty()


def test_without_a_thread_nothing_is_watched_and_the_watch_stops_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = FileWatch(lambda: None)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        watch.watch([str(tmp_path / "jobs.yaml")])
    assert not watch.is_alive
    watch.stop()
