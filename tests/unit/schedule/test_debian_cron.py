"""
Fire times of crons are those at which Debian's cron would run the job.

The oracle is the main loop of cron.c 3.0pl1-162 for one job, told again in Python: it looks at the wall once a minute (once
a second for a cron with seconds), reads the cron text by itself and knows nothing of cronsim or of `scheduler.schedule`.
"""

from calendar import monthrange
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.instants import SECOND, parse_rfc3339, rfc3339
from scheduler.model.job import Cron
from scheduler.schedule.fire_times import after, between, count_between

MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
NAMES = {"sun": 0, "mon": 1, "fri": 5, "sat": 6}
EPOCH = date(1970, 1, 1)


# The oracle


def read(field: str, low: int, high: int) -> set[int]:
    """The values of one field; crontab(5)."""
    values = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        begin, end = (low, high) if span == "*" else (number(first), number(last or first))
        values |= set(range(begin, end + 1, int(step or 1)))
    return values


def number(text: str) -> int:
    return NAMES[text] if text in NAMES else int(text)


def day_rule(day_field: str, weekday_field: str) -> Callable[[date], bool]:
    """Whether a day matches: both fields if one begins with a star, else either."""

    def by_day(day: date) -> bool:
        last = monthrange(day.year, day.month)[1]
        if day_field == "L":
            return day.day == last
        if day_field == "LW":
            return day.weekday() < 5 and all((day + timedelta(n)).weekday() > 4 for n in range(1, last - day.day + 1))
        return day.day in read(day_field, 1, 31)

    def by_weekday(day: date) -> bool:
        if weekday_field.endswith("L"):
            return day.isoweekday() % 7 == number(weekday_field[:-1]) % 7 and (day + timedelta(7)).month != day.month
        if "#" in weekday_field:
            weekday, nth = weekday_field.split("#")
            return day.isoweekday() % 7 == number(weekday) % 7 and (day.day - 1) // 7 + 1 == int(nth)
        return day.isoweekday() % 7 in {value % 7 for value in read(weekday_field, 0, 7)}

    if day_field.startswith("*") or weekday_field.startswith("*"):
        return lambda day: by_day(day) and by_weekday(day)
    return lambda day: by_day(day) or by_weekday(day)


def local_rule(text: str) -> Callable[[int], bool]:
    """Whether a local second, counted from 1970-01-01T00:00 by the wall, matches."""
    *second_field, minute_field, hour_field, day_field, month_field, weekday_field = text.split()
    seconds = read(second_field[0], 0, 59) if second_field else {0}
    minutes, hours, months = read(minute_field, 0, 59), read(hour_field, 0, 23), read(month_field, 1, 12)
    day_matches = day_rule(day_field, weekday_field)

    @lru_cache
    def matches_day(number: int) -> bool:
        day = EPOCH + timedelta(number)
        return day.month in months and day_matches(day)

    def matches(local: int) -> bool:
        day, rest = divmod(local, DAY_S)
        return rest // HOUR_S in hours and rest // 60 % 60 in minutes and rest % 60 in seconds and matches_day(day)

    return matches


def cron_runs(text: str, zone: str, start_s: int, end_s: int) -> list[int]:
    """The seconds after `start_s`, up to `end_s`, at which cron runs a job; it was started 4 hours earlier."""
    step = 1 if len(text.split()) == 6 else MINUTE_S
    matches = local_rule(text)
    wild = any(field.startswith("*") for field in text.split()[-5:-3])
    ran = []
    virtual = None
    for now, local in walls(zone, (start_s - 4 * HOUR_S) // step * step, end_s, step):
        behind = step if virtual is None else local - virtual
        run = False
        if behind == step or behind > 3 * HOUR_S or behind <= -3 * HOUR_S:  # the common case, or a correction
            virtual = local
            run = matches(local)
        elif behind > 0:  # the clock was put forward: catch up
            run = wild and matches(local)
            while virtual is not None and virtual < local:
                virtual += step
                run = run or (not wild and matches(virtual))
        else:  # the clock was put back: wait until the wall has caught up
            run = wild and matches(local)
        if run and now > start_s:
            ran.append(now)
    return ran


@lru_cache(maxsize=64)
def walls(zone: str, start_s: int, end_s: int, step: int) -> list[tuple[int, int]]:
    """Each step with the local second that the wall shows."""
    place = ZoneInfo(zone)
    return [(now, now + offset(place, now)) for now in range(start_s, end_s + 1, step)]


def offset(zone: ZoneInfo, second: int) -> int:
    delta = datetime.fromtimestamp(second, zone).utcoffset()
    assert delta is not None
    return round(delta.total_seconds())


def changes(zone: str, year: int) -> Iterator[int]:
    """Full hours of that year of UTC within which the offset changes, or which begin with a change."""
    place = ZoneInfo(zone)
    start, end = (round(datetime(y, 1, 1, tzinfo=UTC).timestamp()) for y in (year, year + 1))
    hours = range(start, end, HOUR_S)
    before = offset(place, start - 1)
    for hour in hours:
        now = offset(place, hour)
        if now != before:
            yield hour - HOUR_S
        before = now


def fire_times(text: str, zone: str, start_s: int, end_s: int) -> list[int]:
    return [at // SECOND for at in between((Cron(text, zone),), start_s * SECOND, end_s * SECOND)]


# Every kind of cron that cron treats in its own way, through all transitions of zones that are unlike each other

CRONS = [
    "30 2 * * *",
    "0,15,30,45 0-4,23 * * *",
    "30 23 * * sat",
    "0 0 * * *",
    "59 1 * * sun",
    "5-50/9 1,2,3 * * 0",
    "30 * * * *",
    "40 * * * *",
    "*/20 * * * *",
    "*/20 2 * * *",
    "* 0 * * sun",
    "15 */2 * * *",
    "17 1-3 */2 * *",
]
ZONES = [
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Havana",
    "America/Los_Angeles",
    "America/New_York",
    "America/Santiago",
    "America/Scoresbysund",
    "Antarctica/Casey",
    "Antarctica/Troll",
    "Antarctica/Vostok",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Chatham",
]


@pytest.mark.parametrize("zone", ZONES)
def test_through_all_transitions_from_2020_to_2037(zone: str) -> None:
    for year in range(2020, 2038):
        for hour in list(changes(zone, year)) or [round(datetime(year, 3, 28, 23, tzinfo=UTC).timestamp())]:
            start, end = hour - 10 * HOUR_S, hour + 12 * HOUR_S
            for text in CRONS:
                assert fire_times(text, zone, start, end) == cron_runs(text, zone, start, end), (text, zone, year)


# Any cron in any zone

MOVING = sorted(
    zone
    for zone in available_timezones()
    if any(
        offset(ZoneInfo(zone), now) != offset(ZoneInfo(zone), now + 180 * DAY_S)
        for now in range(1_577_836_800, 2_145_916_800, 181 * DAY_S)
    )
)


def values(low: int, high: int) -> st.SearchStrategy[str]:
    """One field: a star, a step, a value, a range, a range with a step, a list."""
    value = st.integers(low, high)
    spans = st.lists(value, min_size=2, max_size=2, unique=True).map(lambda pair: "{}-{}".format(*sorted(pair)))
    steps = st.integers(1, high)
    stepped = st.builds("{}/{}".format, spans, steps)
    listed = st.lists(st.one_of(value.map(str), spans), min_size=2, max_size=4).map(",".join)
    return st.one_of(st.just("*"), st.builds("*/{}".format, steps), value.map(str), spans, stepped, listed)


DAYS = st.one_of(st.just("*"), values(1, 31), st.sampled_from(["L", "LW"]))
WEEKDAYS = st.one_of(st.just("*"), values(0, 7), st.sampled_from(["sun", "mon-fri", "5L", "fri#2", "0#1", "7#5"]))
TIMES = st.builds("{} {}".format, values(0, 59), st.one_of(values(0, 4), values(0, 23)))


@given(zone=st.sampled_from(MOVING), year=st.integers(2020, 2037), time=TIMES, day=DAYS, weekday=WEEKDAYS)
@settings(max_examples=120, deadline=None)
def test_of_any_cron_through_any_transition(zone: str, year: int, time: str, day: str, weekday: str) -> None:
    text = f"{time} {day} * {weekday}"
    for hour in changes(zone, year):
        start, end = hour - 26 * HOUR_S, hour + 28 * HOUR_S
        ran = cron_runs(text, zone, start, end)
        assert fire_times(text, zone, start, end) == ran
        assert count_between((Cron(text, zone),), start * SECOND, end * SECOND) == len(ran)


@given(zone=st.sampled_from(MOVING), year=st.integers(2020, 2037), second=values(0, 59), time=TIMES)
@settings(max_examples=30, deadline=None)
def test_of_any_cron_with_seconds_second_by_second(zone: str, year: int, second: str, time: str) -> None:
    text = f"{second} {time} * * *"
    for hour in changes(zone, year):
        start, end = hour - HOUR_S // 2, hour + 3 * HOUR_S
        assert fire_times(text, zone, start, end) == cron_runs(text, zone, start, end)


@given(
    zone=st.sampled_from(MOVING),
    start=st.integers(1_577_836_800, 2_145_916_800),
    time=TIMES,
    day=DAYS,
    month=values(1, 12),
    weekday=WEEKDAYS,
)
@settings(max_examples=40, deadline=None)
def test_of_any_cron_over_some_weeks(zone: str, start: int, time: str, day: str, month: str, weekday: str) -> None:
    text = f"{time} {day} {month} {weekday}"
    try:
        ours = fire_times(text, zone, start, start + 30 * DAY_S)
    except ValueError:
        ours = []  # refused, since none of its months has such a day
    assert ours == cron_runs(text, zone, start, start + 30 * DAY_S)


# What cron(8) says, and what else is worth a name; each line one chain of `after`

CHAINS = [
    pytest.param(
        "Europe/Berlin", "30 2 * * *",
        ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
        id="a fixed time in the gap runs right after it",
    ),
    pytest.param(
        "Europe/Berlin", "30 2 * * *",
        ["2026-10-24T02:30:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
        id="a fixed time in the overlap runs in its first pass only",
    ),
    pytest.param(
        "Europe/Berlin", "0,20,40 2,3 * * *",
        ["2026-03-28T03:40:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:20:00+02:00"],
        id="several fixed times in the gap, and the one at its end, are one",
    ),
    pytest.param(
        "Europe/Berlin", "30 * * * *",
        ["2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"],
        id="a star in the hour follows elapsed time through the gap",
    ),
    pytest.param(
        "Europe/Berlin", "30 * * * *",
        ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00"],
        id="a star in the hour follows elapsed time through the overlap",
    ),
    pytest.param(
        "Europe/Berlin", "30 */2 * * *",
        ["2026-03-29T00:30:00+01:00", "2026-03-29T04:30:00+02:00"],
        id="a step over all hours begins with a star: nothing is caught up",
    ),
    pytest.param(
        "Europe/Berlin", "30 0-23/2 * * *",
        ["2026-03-29T00:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T04:30:00+02:00"],
        id="a step over a range does not begin with a star: a fixed time",
    ),
    pytest.param(
        "Europe/Berlin", "0 30 2 * * *",
        ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
        id="with seconds the gap is the same",
    ),
    pytest.param(
        "Europe/Berlin", "30 30 2 * * *",
        ["2026-10-25T02:30:30+02:00", "2026-10-26T02:30:30+01:00"],
        id="with seconds the overlap is the same",
    ),
    pytest.param(
        "America/New_York", "30 1 * * *",
        ["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"],
        id="New York, overlap",
    ),
    pytest.param(
        "America/Los_Angeles", "0 0 * * 1",
        ["2026-03-02T00:00:00-08:00", "2026-03-09T00:00:00-07:00"],
        id="the midnight after a transition is not lost",
    ),
    pytest.param(
        "Australia/Lord_Howe", "15 2 * * *",
        ["2026-10-03T02:15:00+10:30", "2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"],
        id="Lord Howe, a gap of half an hour",
    ),
    pytest.param(
        "Australia/Lord_Howe", "40 * * * *",
        ["2026-10-04T01:40:00+10:30", "2026-10-04T02:40:00+11:00", "2026-10-04T03:40:00+11:00"],
        id="Lord Howe, elapsed time through the gap (cronsim 2.8 loses 02:40)",
    ),
    pytest.param(
        "Australia/Lord_Howe", "40 * * * *",
        ["2026-04-05T01:40:00+11:00", "2026-04-05T01:40:00+10:30", "2026-04-05T02:40:00+10:30"],
        id="Lord Howe, elapsed time through the overlap (cronsim 2.8 loses the second)",
    ),
    pytest.param(
        "Australia/Lord_Howe", "*/25 2 * * *",
        ["2026-04-04T02:50:00+11:00", "2026-04-05T02:00:00+10:30", "2026-04-05T02:25:00+10:30"],
        id="Lord Howe, a star in the minute (cronsim 2.8 loses both)",
    ),
    pytest.param(
        "America/Santiago", "*/30 0 * * sun",
        ["2026-08-30T00:30:00-04:00", "2026-09-13T00:00:00-03:00"],
        id="midnight in the gap, a star in the minute (cronsim 2.8 runs it at 01:00)",
    ),
    pytest.param(
        "America/Santiago", "0 0 * * sun",
        ["2026-08-30T00:00:00-04:00", "2026-09-06T01:00:00-03:00", "2026-09-13T00:00:00-03:00"],
        id="midnight in the gap, a fixed time",
    ),
    pytest.param(
        "America/Scoresbysund", "30 23 * * sat",
        ["2026-03-21T23:30:00-02:00", "2026-03-29T00:00:00-01:00", "2026-04-04T23:30:00-01:00"],
        id="Scoresbysund, the gap ends with the day: Saturday's job runs on Sunday",
    ),
    pytest.param(
        "Asia/Kathmandu", "0 0 * * *",
        ["2026-03-28T00:00:00+05:45", "2026-03-29T00:00:00+05:45"],
        id="Kathmandu, no transitions and 45 minutes",
    ),
    pytest.param(
        "Antarctica/Troll", "30 2 * * *",
        ["2026-03-28T02:30:00+00:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
        id="Troll, a gap of two hours",
    ),
    pytest.param(
        "Antarctica/Casey", "30 1 * * *",
        ["2020-10-03T01:30:00+08:00", "2020-10-05T01:30:00+11:00"],
        id="Casey, a gap of three hours is a correction: what it skips is not run",
    ),
    pytest.param(
        "Antarctica/Casey", "30 22 * * *",
        ["2021-03-13T22:30:00+11:00", "2021-03-14T22:30:00+08:00"],
        id="Casey, an overlap of three hours is none: a fixed time runs once",
    ),
    pytest.param(
        "Pacific/Apia", "30 11 * * *",
        ["2011-12-29T11:30:00-10:00", "2011-12-31T11:30:00+14:00"],
        id="Apia, a whole day left out is a correction",
    ),
    pytest.param(
        "Asia/Dhaka", "30 23 * * *",
        ["2009-12-31T23:30:00+07:00", "2010-01-01T23:30:00+06:00"],
        id="Dhaka, an overlap at the turn of the year",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("zone", "text", "chain"), CHAINS)
def test_fire_times_follow_each_other(zone: str, text: str, chain: list[str]) -> None:
    at = parse_rfc3339(chain[0]) - 1
    found = []
    for _ in chain:
        following = after((Cron(text, zone),), at)
        assert following is not None
        at = following
        found.append(rfc3339(at, ZoneInfo(zone)))
    assert found == chain


@pytest.mark.parametrize(("zone", "text", "chain"), CHAINS)
def test_the_oracle_agrees_with_each_named_case(zone: str, text: str, chain: list[str]) -> None:
    first, last = (parse_rfc3339(at) // SECOND for at in (chain[0], chain[-1]))
    assert [rfc3339(at * SECOND, ZoneInfo(zone)) for at in cron_runs(text, zone, first - 1, last)] == chain


@pytest.mark.parametrize(("zone", "text", "chain"), CHAINS)
def test_each_named_case_is_counted(zone: str, text: str, chain: list[str]) -> None:
    first, last = (parse_rfc3339(at) for at in (chain[0], chain[-1]))
    assert count_between((Cron(text, zone),), first - 1, last) == len(chain)
    assert count_between((Cron(text, zone), Cron("0 0 29 2 *", "UTC")), first - 1, last) == len(chain)


def test_what_a_gap_skips_is_caught_up_once_in_the_year() -> None:
    start, end = parse_rfc3339("2026-10-01T00:00:00+10:30"), parse_rfc3339("2027-02-01T00:00:00+11:00")
    found = fire_times("15 2 * * *", "Australia/Lord_Howe", start // SECOND, end // SECOND)
    assert len(found) == 31 + 30 + 31 + 31


def test_within_the_second_pass_of_an_overlap_the_next_fire_time_is_never_behind() -> None:
    asked = parse_rfc3339("2026-10-25T02:15:00+01:00")
    assert after((Cron("30 2 * * *", "Europe/Berlin"),), asked) == parse_rfc3339("2026-10-26T02:30:00+01:00")


def test_a_star_in_the_seconds_leaves_a_fixed_time_fixed() -> None:
    cron = (Cron("*/20 30 2 * * *", "Europe/Berlin"),)
    gap, overlap = parse_rfc3339("2026-03-29T00:00:00+01:00"), parse_rfc3339("2026-10-25T00:00:00+02:00")
    assert count_between(cron, gap, gap + 12 * HOUR_S * SECOND) == 1
    assert count_between(cron, overlap, overlap + 12 * HOUR_S * SECOND) == 3
