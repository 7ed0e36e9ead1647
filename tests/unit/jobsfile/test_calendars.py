"""`between`, `except`, `start` and `end` of a schedule, and the calendars that it names."""

import sys
from pathlib import Path

import pytest

from tests.unit.jobsfile.jobs_text import load_text
from tminus.instants import LATEST_NS, SECOND, parse_rfc3339, rfc3339
from tminus.jobsfile.load import Loaded, load
from tminus.schedule import canonical
from tminus.schedule.fire_times import after, between, count_between, last_between

NOW = parse_rfc3339("2026-11-20T11:00:00Z")
DAY = 86_400 * SECOND


def file(schedule: str, calendars: str, zone: str = "Europe/Berlin") -> str:
    return (
        f"version: 1\ntimezone: {zone}\ncalendars:\n  closed: {calendars}\n"
        f"jobs: {{a: {{schedule: {schedule}, http: https://a.example}}}}\n"
    )


def read(folder: Path, schedule: str, calendars: str = "{dates: [2030-01-01]}") -> Loaded:
    path = folder / "jobs.yaml"
    path.write_text(file(schedule, calendars))
    return load(path, now_ns=NOW, environ={})


def fire_times(loaded: Loaded, first: str, days: int) -> list[str]:
    assert loaded.errors == ()
    assert loaded.definitions is not None
    start = parse_rfc3339(first)
    return [
        rfc3339(at) for at in between(loaded.definitions.jobs["a"].schedule, start - 1, start + days * DAY)
    ]


def messages(loaded: Loaded) -> list[tuple[str, str]]:
    return [(problem.message, problem.hint) for problem in (*loaded.errors, *loaded.warnings)]


@pytest.mark.parametrize(
    ("between", "expected"),
    [
        pytest.param("08:00-10:00", ["07", "08", "09"], id="both-ends"),
        pytest.param("08:00:00-10:00:00", ["07", "08", "09"], id="to-the-second"),
        pytest.param("08:00:01-09:59", ["08"], id="not-a-second-earlier"),
        pytest.param("22:00-01:00", ["00", "21", "22", "23"], id="past-midnight"),
        pytest.param('["08:00-08:00", "12:00-13:00"]', ["07", "11", "12"], id="several"),
    ],
)
def test_windows_of_the_day(tmp_path: Path, between: str, expected: list[str]) -> None:
    loaded = read(tmp_path, f"{{every: 1h, between: {between}}}")
    found = fire_times(loaded, "2026-11-23T00:00:00Z", 1)
    assert sorted({at[11:13] for at in found}) == expected
    assert messages(loaded) == []


@pytest.mark.parametrize(
    ("calendar", "expected"),
    [
        pytest.param("{dates: [2026-11-24, 2026-11-26]}", ["23", "25", "27"], id="dates"),
        pytest.param("{ranges: [{from: 2026-11-24, to: 2026-11-25}]}", ["23", "26", "27"], id="days"),
        pytest.param("{ranges: [{from: 2026-11-24T00:00, to: 2026-11-26T11:29}]}", ["23", "26", "27"], id="minutes"),
        pytest.param("{ranges: [{from: 2026-11-24T00:00, to: 2026-11-26T11:30}]}", ["23", "27"], id="last-minute"),
        pytest.param("{ranges: [{from: 2026-11-24T10:30:00Z, to: 2026-11-24T10:30:00Z}]}", ["23", "25", "26", "27"], id="an-instant"),
        pytest.param("{dates: [2026-11-23], ranges: [{from: 2026-11-25, to: 2026-11-27}]}", ["24"], id="both"),
    ],
)  # fmt: skip
def test_days_and_ranges(tmp_path: Path, calendar: str, expected: list[str]) -> None:
    loaded = read(tmp_path, '{cron: "30 11 * * *", except: closed}', calendar)
    assert [at[8:10] for at in fire_times(loaded, "2026-11-23T00:00:00Z", 5)] == expected


def test_a_day_ends_with_the_day_of_the_schedules_zone(tmp_path: Path) -> None:
    entry = '{cron: "0 */6 * * *", except: [closed], timezone: America/New_York}'
    found = fire_times(read(tmp_path, entry, "{dates: [2026-11-24]}"), "2026-11-23T18:00:00-05:00", 2)
    assert [at[5:16] for at in found] == [
        "11-23T23:00",
        "11-25T05:00",
        "11-25T11:00",
        "11-25T17:00",
        "11-25T23:00",
    ]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        pytest.param("America/Santiago", "2026-09-06", 23, id="it-begins-with-a-gap"),
        pytest.param("America/Havana", "2026-11-01", 25, id="its-first-hour-comes-twice"),
        pytest.param("Africa/Cairo", "2026-10-29", 25, id="its-last-hour-comes-twice"),
    ],
)
def test_a_day_is_as_long_as_its_zone_makes_it(tmp_path: Path, zone: str, day: str, hours: int) -> None:
    entry = f"{{every: 1h, except: closed, timezone: {zone}}}"
    loaded = read(tmp_path, entry, f"{{dates: [{day}]}}")
    start = parse_rfc3339(f"{day}T00:00:00Z") - 2 * DAY
    assert loaded.definitions is not None
    left = list(between(loaded.definitions.jobs["a"].schedule, start - 1, start + 5 * DAY - 1))
    assert len(left) == 5 * 24 - hours


def test_public_holidays_of_a_country_and_a_part_of_it(tmp_path: Path) -> None:
    loaded = read(tmp_path, '{cron: "0 9 * * mon-fri", except: closed}', "{country: DE, subdivision: BE}")
    assert fire_times(loaded, "2026-12-23T00:00:00Z", 6) == [
        "2026-12-23T08:00:00Z",
        "2026-12-24T08:00:00Z",
        "2026-12-28T08:00:00Z",
    ]
    womens_day = fire_times(loaded, "2027-03-08T00:00:00+01:00", 1)  # a holiday in Berlin
    assert womens_day == []


EVENTS = """\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//EN
BEGIN:VEVENT
UID:1
DTSTART;VALUE=DATE:20251124
RRULE:FREQ=YEARLY
END:VEVENT
BEGIN:VEVENT
UID:2
DTSTART;VALUE=DATE:20261125
DTEND;VALUE=DATE:20261127
END:VEVENT
BEGIN:VEVENT
UID:3
DTSTART;TZID=Europe/Berlin:20261127T110000
DTEND;TZID=Europe/Berlin:20261127T113000
RRULE:FREQ=DAILY;COUNT=3
EXDATE;TZID=Europe/Berlin:20261128T110000
END:VEVENT
BEGIN:VEVENT
UID:4
DTSTART:20261130T113000
DURATION:PT1M
END:VEVENT
END:VCALENDAR
"""


def test_the_events_of_an_icalendar_file(tmp_path: Path) -> None:
    (tmp_path / "closed.ics").write_text(EVENTS.replace("\n", "\r\n"))
    loaded = read(
        tmp_path,
        '[{cron: "30 11 * * *", except: closed}, {cron: "5 11 * * *", except: closed}]',
        "{ics: closed.ics}",
    )
    found = fire_times(loaded, "2026-11-23T00:00:00+01:00", 9)
    assert [at[8:16] for at in found] == [
        "23T10:05", "23T10:30", "27T10:30", "28T10:05", "28T10:30", "29T10:30", "30T10:05", "01T10:05", "01T10:30",
    ]  # fmt: skip
    assert loaded.definitions is not None
    assert loaded.definitions.paths[-1] == str(tmp_path / "closed.ics")  # watched, too


def test_another_content_is_another_version_and_another_schedule(tmp_path: Path) -> None:
    def both() -> tuple[str, str]:
        loaded = read(tmp_path, '{cron: "30 11 * * *", except: closed}', "{ics: closed.ics}").definitions
        assert loaded is not None
        return loaded.version, canonical.to_text(loaded.jobs["a"].schedule)

    (tmp_path / "closed.ics").write_text(EVENTS)
    first = both()
    assert both() == first
    (tmp_path / "closed.ics").write_text(EVENTS.replace("20261130T", "20261203T"))
    assert {*first}.isdisjoint(both())


def test_the_schedule_is_shown_with_its_limits(tmp_path: Path) -> None:
    loaded = read(tmp_path, '{every: 5m, between: ["08:00-12:00", "13:00-17:00"], except: closed}')
    assert loaded.definitions is not None
    assert (
        loaded.definitions.jobs["a"].schedule_text
        == "every 5m between 08:00-12:00, 13:00-17:00 except closed"
    )


def test_a_calendar_stands_in_one_file_only(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("calendars: {closed: {dates: [2026-12-24]}}\n")
    text = file("manual", "{dates: [2026-12-25]}").replace("version: 1", "version: 1\ninclude: [more.yaml]")
    (found,) = load_text(tmp_path, text).errors
    assert found.message == "calendars: calendar 'closed' defined in jobs.yaml:5 and more.yaml:1"


@pytest.mark.parametrize(
    ("key", "library"), [("{country: DE}", "holidays"), ("{ics: closed.ics}", "recurring_ical_events")]
)
def test_a_library_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, library: str
) -> None:
    (tmp_path / "closed.ics").write_text(EVENTS)
    monkeypatch.setitem(sys.modules, library, None)
    from tminus.jobsfile.jobs import calendar_sources

    calendar_sources.holidays.cache_clear()
    ((message, hint),) = messages(read(tmp_path, '{cron: "30 11 * * *", except: closed}', key))
    assert message.endswith(f"needs the library {library.replace('_', '-')}")
    assert hint == "in the folder of tminus: pip install '.[calendars]'"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", "calendars.closed.ics: is not an iCalendar file (ValueError)"),
        ("", "calendars.closed.ics: is not an iCalendar file: it is empty"),
        (
            EVENTS.replace("FREQ=YEARLY", "FREQ=SECONDLY"),
            "calendars.closed.ics: an event recurs more often than daily",
        ),
    ],
)
def test_an_icalendar_file_that_is_none_or_too_long(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "closed.ics").write_text(text)
    found = messages(read(tmp_path, '{cron: "30 11 * * *", except: closed}', "{ics: closed.ics}"))
    assert [message for message, _ in found] == [expected]


def test_a_job_that_is_left_without_a_fire_time(tmp_path: Path) -> None:
    loaded = read(tmp_path, '{cron: "0 20 * * *", between: "08:00-18:00"}')
    assert messages(loaded) == [
        ("jobs.a.schedule.between: the job never fires", "no fire time is left; look at between")
    ]


def test_jitter_is_one_for_all_schedules_of_a_job(tmp_path: Path) -> None:
    loaded = read(tmp_path, "[{every: 5m, jitter: 30s}, {at: 09:00, jitter: 30s}]").definitions
    assert loaded is not None
    assert loaded.jobs["a"].jitter_ns == 30 * SECOND
    assert loaded.jobs["a"].schedule_text == "every 5m jitter 30s or at 09:00 jitter 30s"
    two = messages(read(tmp_path, "[{every: 5m, jitter: 30s}, {at: 09:00}]"))
    assert two == [
        (
            "jobs.a.schedule[1] must be the same in all schedules of a job",
            "write it in each of them, or use two jobs",
        )
    ]


def test_a_template_names_a_calendar_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "jobs.yaml"
    path.write_text(
        "version: 1\ntimezone: Europe/Berlin\ncalendars: {closed: {dates: [2026-11-20]}}\njobs:\n  a:\n"
        "    schedule: manual\n    http: \"https://a.example?{{ fire_time | workday(-1, 'closed') | date }}\"\n"
    )
    definitions = load(path, now_ns=NOW, environ={}).definitions
    assert definitions is not None
    start_s = parse_rfc3339("2026-11-20T00:00:00+01:00") // SECOND
    assert definitions.jobs["a"].calendars == {"closed": ((start_s, start_s + 86_400),)}
    path.write_text(path.read_text().replace("'closed'", "'close'"))
    assert messages(load(path, now_ns=NOW, environ={})) == [
        ("jobs.a.http: no calendar 'close'", "did you mean closed?")
    ]


@pytest.mark.parametrize(
    ("ends", "first", "last"),
    [
        pytest.param("start: 2026-11-24", "2026-11-23T23:00:00Z", "2026-11-27T23:00:00Z", id="from-a-day-on"),
        pytest.param(
            "end: 2026-11-25", "2026-11-22T23:00:00Z", "2026-11-25T22:00:00Z", id="up-to-a-whole-day"
        ),
        pytest.param(
            "start: 2026-11-24, end: 2026-11-24", "2026-11-23T23:00:00Z", "2026-11-24T22:00:00Z", id="a-day"
        ),
        pytest.param(
            "start: 2026-11-24T12:00, end: 2026-11-24T14:00",
            "2026-11-24T11:00:00Z",
            "2026-11-24T13:00:00Z",
            id="instants-that-belong-to-it",
        ),
        pytest.param(
            'start: "2026-11-24T12:00:01+00:00", end: "2026-11-24T15:59:59Z"',
            "2026-11-24T13:00:00Z",
            "2026-11-24T15:00:00Z",
            id="with-an-offset",
        ),
    ],
)
@pytest.mark.parametrize("times", ["every: 1h", 'cron: "0 * * * *"'])
def test_the_start_and_the_end_of_a_schedule(
    tmp_path: Path, times: str, ends: str, first: str, last: str
) -> None:
    loaded = read(tmp_path, f"{{{times}, {ends}}}")
    found = fire_times(loaded, "2026-11-22T23:00:00Z", 5)
    assert (found[0], found[-1]) == (first, last)
    assert messages(loaded) == []
    assert loaded.definitions is not None
    schedule = loaded.definitions.jobs["a"].schedule
    assert canonical.from_text(canonical.to_text(schedule)) == schedule


@pytest.mark.parametrize(
    "times", ["every: 1s", 'cron: "* * * * * *"', "at: 09:00", 'at: "2026-11-24T09:00:00.5"']
)
def test_after_its_end_a_schedule_has_no_fire_time_and_says_so_at_once(tmp_path: Path, times: str) -> None:
    loaded = read(tmp_path, f"{{{times}, end: 2026-11-24}}")
    assert loaded.definitions is not None
    schedule, end_ns = loaded.definitions.jobs["a"].schedule, parse_rfc3339("2026-11-24T23:00:00Z")
    assert after(schedule, end_ns - 1) is None
    assert after(schedule, LATEST_NS // 2) is None
    assert last_between(schedule, NOW, LATEST_NS // 2) == max(between(schedule, end_ns - DAY, end_ns))
    assert count_between(schedule, end_ns, LATEST_NS // 2) == 0


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("{every: 1h, start: 2026-12-02, end: 2026-12-01}", "jobs.a.schedule.end is before start"),
        (
            "{every: 1h, start: 2026-12-02T10:00, end: 2026-12-02T09:59}",
            "jobs.a.schedule.end is before start",
        ),
        ("{every: 1h, end: 2026-11-19}", "jobs.a.schedule.end: the job never fires"),
        ("{manual: true, start: 2026-12-01}", "jobs.a.schedule.start is for times"),
        ("{every: 1h, start: 09:00}", "jobs.a.schedule.start must have a date; got 09:00"),
        ("{every: 1h, end: 2026-02-30}", "jobs.a.schedule.end: there is no day 2026-02-30"),
        ("{every: 1h, start: tomorrow}", "jobs.a.schedule.start must be a time; got tomorrow"),
    ],
)
def test_a_start_or_an_end_that_makes_no_sense(tmp_path: Path, schedule: str, expected: str) -> None:
    assert [message for message, _ in messages(read(tmp_path, schedule))] == [expected]
