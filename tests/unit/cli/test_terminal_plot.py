"""Where a command writes its picture."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tminus.cli.commands import demo
from tminus.cli.main import main
from tminus.model.batch import BatchCounts
from tminus.model.occurrence import Occurrence
from tminus.model.skew import Offset, Skew
from tminus.operations.watch import PlannedBatch


class ShortDemo:
    """Two jobs that have run, without waiting for them."""

    def __init__(self, _: object) -> None: ...

    def __enter__(self) -> "ShortDemo":
        return self

    def __exit__(self, *_: object) -> None: ...

    def start(self) -> PlannedBatch:
        return PlannedBatch(planned_at_ns=0, jobs=2)

    def counts(self, _: int) -> BatchCounts:
        return BatchCounts(written=2, claimed=2, ended=2)

    def check(self) -> None: ...

    def report(self) -> tuple[Skew, list[Occurrence]]:
        offsets = [Offset(id=f"http_{index}@", offset_ns=index, armed=True) for index in range(2)]
        return Skew(planned_at_ns=0, jobs=2, offsets=offsets), []

    def one_by_one(self) -> Iterator[int]:
        return iter([0, 100])


@pytest.fixture
def short_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "Demo", ShortDemo)


@pytest.mark.usefixtures("short_demo")
def test_a_picture_that_cannot_be_written_costs_the_demo_no_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "batch.svg").symlink_to(tmp_path / "no such folder" / "batch.svg")
    assert main(["demo", "-q", "--svg", str(tmp_path / "batch.svg")]) == 2
    printed = capsys.readouterr()
    assert "started after T: first +0 µs  p50 " in printed.out
    assert "one after another: the last started 0.1 µs after the first" in printed.out
    assert printed.out.count("time after T, logarithmic; a higher block is more jobs\n") == 2
    assert printed.err == f"error: cannot write {tmp_path}/batch.svg: No such file or directory\n"


@pytest.mark.usefixtures("short_demo")
def test_the_demo_writes_its_picture(tmp_path: Path) -> None:
    assert main(["demo", "-q", "--svg", str(tmp_path / "batch.svg")]) == 0
    assert "<svg" in (tmp_path / "batch.svg").read_text(encoding="utf-8")
