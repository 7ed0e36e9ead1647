"""
Schedules that the next change of the clocks touches.

Berlin: forward 2027-03-28 02:00 to 03:00, back 2026-10-25 03:00 to 02:00. Lord Howe: forward by half an hour,
2026-10-04 02:00.
"""

from pathlib import Path

import pytest

from tminus.instants import parse_rfc3339
from tminus.jobsfile.load import load
from tminus.model.job import Once

SPRING, AUTUMN = "2026-11-20T11:00:00Z", "2026-08-01T00:00:00Z"


def warnings_of(folder: Path, schedule: str, now: str) -> list[str]:
    path = folder / "jobs.yaml"
    path.write_text(
        f"version: 1\ntimezone: Europe/Berlin\njobs: {{a: {{schedule: {schedule}, http: https://a.example}}}}\n"
    )
    loaded = load(path, now_ns=parse_rfc3339(now), environ={})
    assert loaded.errors == ()
    return [problem.message.removeprefix("jobs.a.schedule") for problem in loaded.warnings]


@pytest.mark.parametrize(
    ("schedule", "now", "expected"),
    [
        pytest.param(
            "30 2 * * *",
            SPRING,
            ": 02:30 does not exist on 2027-03-28 in Europe/Berlin; runs at 03:00",
            id="gap",
        ),
        pytest.param(
            "30 2 * * *",
            AUTUMN,
            ": 02:30 comes twice on 2026-10-25 in Europe/Berlin; runs the first time",
            id="twice",
        ),
        pytest.param(
            "0 0-4 * * sun",
            SPRING,
            ": 02:00 does not exist on 2027-03-28 in Europe/Berlin; runs at 03:00",
            id="range",
        ),
        pytest.param(
            "0 30 2 * * *",
            SPRING,
            ": 02:30 does not exist on 2027-03-28 in Europe/Berlin; runs at 03:00",
            id="six-fields",
        ),
        pytest.param(
            "{at: 02:59:59}",
            SPRING,
            ".at: 02:59 does not exist on 2027-03-28 in Europe/Berlin; runs at 03:00",
            id="at",
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
def test_schedules_without_a_warning(tmp_path: Path, schedule: str, now: str) -> None:
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


@pytest.mark.parametrize(
    "at", ["2026-11-20T11:00:00Z", "[2026-01-01T00:00Z, 2027-01-01T00:00Z]", "[2026-01-01T00:00Z, 09:00]"]
)
def test_a_time_that_is_still_to_come(tmp_path: Path, at: str) -> None:
    assert warnings_of(tmp_path, f"{{at: {at}}}", SPRING) == []


@pytest.mark.parametrize(
    ("dst", "now", "expected"),
    [
        ("{gap: skip}", SPRING, "02:30 does not exist on 2027-03-28 in Europe/Berlin; does not run"),
        (
            "{overlap: second}",
            AUTUMN,
            "02:30 comes twice on 2026-10-25 in Europe/Berlin; runs the second time",
        ),
        ("{overlap: both}", AUTUMN, "02:30 comes twice on 2026-10-25 in Europe/Berlin; runs both times"),
    ],
)
def test_what_dst_says_about_a_time_of_day(tmp_path: Path, dst: str, now: str, expected: str) -> None:
    assert warnings_of(tmp_path, f"30 2 * * *, dst: {dst}", now) == [f": {expected}"]


@pytest.mark.parametrize(
    ("dst", "at", "expected", "instants"),
    [
        ("{gap: skip}", "2027-03-28T02:30", "does not exist in Europe/Berlin; does not run", []),
        (
            "{overlap: second}", "2027-10-31T02:30",
            "comes twice in Europe/Berlin; runs at 2027-10-31T02:30:00+01:00", ["2027-10-31T01:30:00Z"],
        ),
        (
            "{overlap: both}", "2027-10-31T02:30",
            "comes twice in Europe/Berlin; runs at 2027-10-31T02:30:00+02:00 and at 2027-10-31T02:30:00+01:00",
            ["2027-10-31T00:30:00Z", "2027-10-31T01:30:00Z"],
        ),
    ],
)  # fmt: skip
def test_what_dst_says_about_one_time(
    tmp_path: Path, dst: str, at: str, expected: str, instants: list[str]
) -> None:
    path = tmp_path / "jobs.yaml"
    path.write_text(
        f"version: 1\ntimezone: Europe/Berlin\ndefaults: {{dst: {dst}}}\n"
        f"jobs: {{a: {{schedule: {{at: '{at}'}}, http: https://a.example}}}}\n"
    )
    loaded = load(path, now_ns=parse_rfc3339(SPRING), environ={})
    assert loaded.definitions is not None
    assert [problem.message for problem in loaded.warnings] == [
        f"jobs.a.schedule.at: {at.replace('T', ' ')}:00 {expected}"
    ]
    assert loaded.definitions.jobs["a"].schedule == tuple(Once(parse_rfc3339(one)) for one in instants)


BOTH = "runs on days that match the day of month or the weekday, not only on those that match both"


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("0 9 1 * mon", [f" {BOTH}"]),
        ("'*/7 * * * *'", [": minute */7 is 0 again after 56, in each hour"]),
        ("'0 */5 * * *'", [": hour */5 is 0 again after 20, in each day"]),
        ("'*/90 * * * * *'", [": second */90 is 0 again after 0, in each minute"]),
        ("0 9 */2 * *", [": day of month */2 is 1 again after 31, in each month"]),
        ("0 9 1 */5 *", [": month */5 is 1 again after 11, in each year"]),
        ("0 9 * * */2", [": weekday */2 is 0 again after 6, in each week"]),
        ("'*/7,*/11 9 1 * mon'", [f" {BOTH}", ": minute */11 is 0 again after 55, in each hour", ": minute */7 is 0 again after 56, in each hour"]),
        ("'*/15 */6 * */3 */1'", []),
        ("'*/1 9 */1 * mon'", []),
        ("0 9 * * mon", []),
        ("0 9 1 * *", []),
        ("'@monthly'", []),
        ("5-50/9 9 * * *", []),
    ],
)  # fmt: skip
def test_what_people_read_otherwise_than_cron(tmp_path: Path, schedule: str, expected: list[str]) -> None:
    assert sorted(warnings_of(tmp_path, schedule, SPRING)) == sorted(expected)


@pytest.mark.parametrize(
    ("entry", "now", "expected"),
    [
        ("cron: 30 2 * * *, between: 02:00-03:00", SPRING, ["does not exist on 2027-03-28 in Europe/Berlin; runs at 03:00"]),
        ("cron: 30 2 * * *, between: 02:00-02:45", SPRING, ["does not exist on 2027-03-28 in Europe/Berlin; does not run"]),
        ("cron: '30 2,9 * * *', between: 08:00-18:00", SPRING, []),
        ("cron: '30 2,9 * * *', between: 08:00-18:00", AUTUMN, []),
        ("cron: 30 2 * * *, except: sundays", SPRING, []),
        ("cron: 30 2 * * *, except: sundays", AUTUMN, []),
    ],
)  # fmt: skip
def test_what_limits_leave_of_a_time_that_is_touched(
    tmp_path: Path, entry: str, now: str, expected: list[str]
) -> None:
    path = tmp_path / "jobs.yaml"
    path.write_text(
        "version: 1\ntimezone: Europe/Berlin\ncalendars: {sundays: {dates: [2026-10-25, 2027-03-28]}}\n"
        f"jobs: {{a: {{schedule: {{{entry}}}, http: https://a.example}}}}\n"
    )
    loaded = load(path, now_ns=parse_rfc3339(now), environ={})
    assert loaded.errors == ()
    found = [problem.message.removeprefix("jobs.a.schedule.cron: 02:30 ") for problem in loaded.warnings]
    assert found == expected
