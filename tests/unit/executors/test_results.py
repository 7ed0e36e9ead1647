"""What a lane reports is sent in parts: the daemon decodes one part while all its other threads wait."""

from typing import Any

import pytest

from scheduler.executors.http import wire
from scheduler.executors.http.results import Results
from scheduler.executors.http.wire import Finished
from tests.support.fake_clock import FakeClock

MIB = 1 << 20


@pytest.mark.parametrize("contents", [{"body": b"x" * MIB}, {"headers": ["x" * 1024] * 1024}], ids=["bodies", "headers"])
def test_long_answers_are_reported_in_parts(contents: dict[str, Any]) -> None:
    reports: list[wire.Report] = []
    results = Results(7, clock=FakeClock(), report=reports.append)
    for index in range(12):
        results.add(Finished(index=index, started_ns=1, finished_ns=3, duration_ns=2, armed=True, **contents))
    results.flush()
    parts = [report.finished for report in reports if isinstance(report, wire.Results)]
    assert [one.index for part in parts for one in part] == list(range(12))
    assert max(map(len, parts)) <= 5
    assert results.waiting == 0
