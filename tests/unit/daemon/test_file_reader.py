"""Files of jobs: each read once for a batch, and never waited for beyond what a batch may wait."""

import os
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.support.fake_clock import FakeClock
from tests.support.moments import PATIENCE_S
from tests.support.threads import no_thread
from tminus.clock import SystemClock
from tminus.daemon.attempts import file_reader
from tminus.daemon.attempts.file_reader import FileReader
from tminus.instants import SECOND
from tminus.secrets.files import CannotRead, FileContent, read_file


def test_a_file_is_read_once_for_a_batch_and_anew_for_the_next(tmp_path: Path) -> None:
    reader, file = FileReader(SystemClock()), tmp_path / "body"
    file.write_bytes(b"one")
    read = reader.for_batch()
    first = read(str(file), limit=9)
    file.write_bytes(b"two")
    assert read(str(file), limit=9) is first
    assert reader.for_batch()(str(file), limit=9).data == b"two"


def test_what_is_no_regular_file_or_too_large_is_refused_with_words(tmp_path: Path) -> None:
    read = FileReader(SystemClock()).for_batch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"x" * 2000)
    with pytest.raises(CannotRead, match="is a FIFO"):
        read(str(tmp_path / "fifo"), limit=9)
    with pytest.raises(CannotRead, match="too large"):
        read(str(tmp_path / "large"), limit=1024)


def test_a_file_that_is_too_large_for_one_job_is_read_for_another(tmp_path: Path) -> None:
    read = FileReader(SystemClock()).for_batch()
    (tmp_path / "large").write_bytes(b"x" * 2000)
    with pytest.raises(CannotRead, match="too large"):
        read(str(tmp_path / "large"), limit=1024)
    assert len(read(str(tmp_path / "large"), limit=4096).data) == 2000


def test_a_file_system_that_hangs_costs_its_files_alone_and_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, asked = threading.Event(), []

    def hangs(path: str, *, limit: int) -> FileContent:
        asked.append(path)
        if path == "/hangs":
            goes_on.wait(PATIENCE_S)
        return read_file(str(tmp_path / "well"), limit=limit)

    monkeypatch.setattr(file_reader, "read_file", hangs)
    (tmp_path / "well").write_bytes(b"well")
    reader = FileReader(SystemClock())
    for _ in range(2):
        read = reader.for_batch()
        with pytest.raises(CannotRead, match="does not answer"):
            read("/hangs", limit=9)
        assert read("/well", limit=9).data == b"well"
    assert asked.count("/hangs") == 1
    goes_on.set()


def test_a_file_that_hangs_and_that_many_jobs_name_is_waited_for_once_in_a_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float | None] = []

    class Hangs(Future[FileContent]):
        def result(self, timeout: float | None = None) -> FileContent:
            waits.append(timeout)
            return super().result(timeout)

    reader = FileReader(SystemClock())
    monkeypatch.setattr(reader, "_start", lambda path, limit: Hangs())
    read = reader.for_batch()
    for _ in range(40):
        with pytest.raises(CannotRead, match="does not answer"):
            read("/hangs", limit=9)
    assert len(waits) == 1


def test_a_file_for_which_there_was_no_thread_is_read_for_the_next_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock(0)
    reader, file = FileReader(clock), tmp_path / "body"
    file.write_bytes(b"one")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            reader.for_batch()(str(file), limit=9)
    clock.pass_by(60 * SECOND)
    assert reader.for_batch()(str(file), limit=9).data == b"one"
