"""
Fire times of crons are those at which Debian's cron would run the job.

The oracle is the main loop of its source, told again in Python (tests/support/debian_cron.py).
"""

import random
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.debian_cron import DAY_S, HOUR_S, changes, cron_runs, offset
from tminus.instants import SECOND, parse_rfc3339, rfc3339
from tminus.model.job import Cron
from tminus.schedule.fire_times import after, between, count_between


def fire_times(text: str, zone: str, start_s: int, end_s: int) -> list[int]:
    return [at // SECOND for at in between((Cron(text, zone),), start_s * SECOND, end_s * SECOND)]


# Every kind of cron that cron treats in its own way, through all transitions of zones that are unlike each
# other

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
#: Summer time of an hour, of half an hour, and of a winter that is the exception.
IN_BRIEF = ["Europe/Berlin", "Australia/Lord_Howe", "Europe/Dublin"]


@pytest.mark.parametrize(
    "zone",
    [*IN_BRIEF, *(pytest.param(zone, marks=pytest.mark.long) for zone in ZONES if zone not in IN_BRIEF)],
)
def test_through_all_transitions_from_2020_to_2037(zone: str) -> None:
    for year in range(2020, 2038):
        for hour in list(changes(zone, year)) or [round(datetime(year, 3, 28, 23, tzinfo=UTC).timestamp())]:
            start, end = hour - 10 * HOUR_S, hour + 12 * HOUR_S
            for text in CRONS:
                assert fire_times(text, zone, start, end) == cron_runs(text, zone, start, end), (
                    text,
                    zone,
                    year,
                )


def test_a_sample_of_all_zones_through_all_their_transitions() -> None:
    """`python -m bench.soak --only fire-times` takes all of them. pytest-randomly prints the seed."""
    for zone in random.sample(sorted(available_timezones()), 6):
        test_through_all_transitions_from_2020_to_2037(zone)


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
    spans = st.lists(value, min_size=2, max_size=2, unique=True).map(
        lambda pair: "{}-{}".format(*sorted(pair))
    )
    steps = st.integers(1, high)
    stepped = st.builds("{}/{}".format, spans, steps)
    listed = st.lists(st.one_of(value.map(str), spans), min_size=2, max_size=4).map(",".join)
    return st.one_of(st.just("*"), st.builds("*/{}".format, steps), value.map(str), spans, stepped, listed)


DAYS = st.one_of(st.just("*"), values(1, 31), st.sampled_from(["L", "LW", "1W", "15W", "31W"]))
WEEKDAYS = st.one_of(
    st.just("*"), values(0, 7), st.sampled_from(["sun", "mon-fri", "5L", "fri#2", "0#1", "7#5"])
)
TIMES = st.builds("{} {}".format, values(0, 59), st.one_of(values(0, 4), values(0, 23)))


@given(zone=st.sampled_from(MOVING), year=st.integers(2020, 2037), time=TIMES, day=DAYS, weekday=WEEKDAYS)
def test_of_any_cron_through_any_transition(zone: str, year: int, time: str, day: str, weekday: str) -> None:
    text = f"{time} {day} * {weekday}"
    for hour in changes(zone, year):
        start, end = hour - 26 * HOUR_S, hour + 28 * HOUR_S
        ran = cron_runs(text, zone, start, end)
        assert fire_times(text, zone, start, end) == ran
        assert count_between((Cron(text, zone),), start * SECOND, end * SECOND) == len(ran)


@given(zone=st.sampled_from(MOVING), year=st.integers(2020, 2037), second=values(0, 59), time=TIMES)
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
def test_of_any_cron_over_some_weeks(
    zone: str, start: int, time: str, day: str, month: str, weekday: str
) -> None:
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


def test_a_fire_time_in_a_gap_is_caught_up_once_in_the_year() -> None:
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
