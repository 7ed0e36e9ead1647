"""
Schedules that the next change of the clocks touches.

Berlin: forward 2027-03-28 02:00 to 03:00, back 2026-10-25 03:00 to 02:00. Lord Howe: forward by half an hour, 2026-10-04 02:00.
"""

from pathlib import Path

import pytest

from scheduler.instants import parse_rfc3339
from scheduler.jobsfile.load import load

SPRING, AUTUMN = "2026-11-20T11:00:00Z", "2026-08-01T00:00:00Z"


def warnings_of(folder: Path, schedule: str, now: str) -> list[str]:
    path = folder / "jobs.yaml"
    path.write_text(f"version: 1\ntimezone: Europe/Berlin\njobs: {{a: {{schedule: {schedule}, http: https://a.example}}}}\n")
    loaded = load(path, now_ns=parse_rfc3339(now), environ={})
    assert loaded.errors == ()
    return [problem.message.removeprefix("jobs.a.schedule") for problem in loaded.warnings]


@pytest.mark.parametrize(
    ("schedule", "now", "expected"),
    [
        pytest.param("30 2 * * *", SPRING, ": 02:30 does not exist on 2027-03-28 in Europe/Berlin; runs at 03:00", id="gap"),
        pytest.param("30 2 * * *", AUTUMN, ": 02:30 comes twice on 2026-10-25 in Europe/Berlin; runs the first time", id="twice"),
        pytest.param("0 0-4 * * sun", SPRING, ": 02:00 does not exist on 2027-03-28 in Europe/Berlin; runs at 03:00", id="range"),
        pytest.param(
            "0 30 2 * * *", SPRING, ": 02:30 does not exist on 2027-03-28 in Europe/Berlin; runs at 03:00", id="six-fields"
        ),
        pytest.param(
            "{at: 02:59:59}", SPRING, ".at: 02:59 does not exist on 2027-03-28 in Europe/Berlin; runs at 03:00", id="at"
        ),
        pytest.param(
            "{cron: 15 2 * * *, timezone: Australia/Lord_Howe}",
            AUTUMN,
            ".cron: 02:15 does not exist on 2026-10-04 in Australia/Lord_Howe; runs at 02:30",
            id="half-an-hour",
        ),
    ],
)
def test_a_fixed_time_that_is_touched(tmp_path: Path, schedule: str, now: str, expected: str) -> None:
    assert warnings_of(tmp_path, schedule, now) == [expected]


@pytest.mark.parametrize(
    "schedule",
    [
        pytest.param("30 1 * * *", id="before"),
        pytest.param("0 3 * * *", id="right-after"),
        pytest.param("30 2 * * mon", id="another-day"),
        pytest.param("30 2 1 1 *", id="another-month"),
        pytest.param("'*/5 2 * * *'", id="steps"),
        pytest.param("30 * * * *", id="every-hour"),
        pytest.param("{every: 5m}", id="elapsed-time"),
        pytest.param("{cron: 30 2 * * *, timezone: UTC}", id="utc"),
        pytest.param("{cron: 30 2 * * *, timezone: Asia/Tokyo}", id="a-zone-without-changes"),
    ],
)
@pytest.mark.parametrize("now", [SPRING, AUTUMN])
def test_what_is_not_touched(tmp_path: Path, schedule: str, now: str) -> None:
    assert warnings_of(tmp_path, schedule, now) == []


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-11-20T10:59:58Z", ".at is 2s in the past and will never fire; use run-now"),
        ("2026-11-20T10:30:00Z", ".at is 30m in the past and will never fire; use run-now"),
        ("2026-11-20T08:00:00Z", ".at is 3h in the past and will never fire; use run-now"),
        ("2026-11-10T11:00:00Z", ".at is 10d in the past and will never fire; use run-now"),
    ],
)
def test_one_time_in_the_past(tmp_path: Path, at: str, expected: str) -> None:
    assert warnings_of(tmp_path, f"{{at: '{at}'}}", SPRING) == [expected]


@pytest.mark.parametrize("at", ["2026-11-20T11:00:00Z", "[2026-01-01T00:00Z, 2027-01-01T00:00Z]", "[2026-01-01T00:00Z, 09:00]"])
def test_a_time_that_is_still_to_come(tmp_path: Path, at: str) -> None:
    assert warnings_of(tmp_path, f"{{at: {at}}}", SPRING) == []
