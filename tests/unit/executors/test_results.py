"""What a lane reports is sent in parts: the daemon decodes one part while all its other threads wait."""

from typing import Any

import pytest

from tests.support.fake_clock import FakeClock
from tminus.executors.http.results import Results
from tminus.executors.protocol import AttemptResult, AttemptResults, HttpReport

MIB = 1 << 20


@pytest.mark.parametrize(
    "contents", [{"body": b"x" * MIB}, {"headers": ["x" * 1024] * 1024}], ids=["bodies", "headers"]
)
def test_long_answers_are_reported_in_parts(contents: dict[str, Any]) -> None:
    reports: list[HttpReport] = []
    results = Results(7, clock=FakeClock(), report=reports.append)
    for index in range(12):
        results.add(
            AttemptResult(index=index, started_ns=1, finished_ns=3, duration_ns=2, armed=True, **contents)
        )
    results.flush()
    parts = [report.finished for report in reports if isinstance(report, AttemptResults)]
    assert [one.index for part in parts for one in part] == list(range(12))
    assert max(map(len, parts)) <= 5
    assert results.waiting == 0
