"""Limits of a schedule: no fire time outside its windows, nor in the time that is excepted."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.instants import MS, SECOND, parse_rfc3339
from tminus.model.job import Cron, Every, Limited, Limits, Once
from tminus.schedule.canonical import from_text, to_text
from tminus.schedule.cron import DAY_S
from tminus.schedule.fire_times import after, between, count_between, last_between
from tminus.schedule.limits import merged

HOUR = 3_600 * SECOND
DAY = 24 * HOUR
#: The autumn's transition in Berlin is in the middle.
START = parse_rfc3339("2026-10-23T00:00:00Z")
END = START + 5 * DAY

ZONES = st.sampled_from(["Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "UTC"])
CRONS = st.builds(
    Cron, st.sampled_from(["*/10 * * * *", "30 2 * * *", "0 0-23/3 * * *", "0 12 * * mon-fri"]), ZONES
)
EVERYS = st.builds(Every, st.sampled_from([60_000, 420_000, 5_400_000, 90_000_000]).map(lambda ms: ms * MS))
ONCES = st.builds(Once, st.integers(START, END))


def ranges(lowest: int, highest: int) -> st.SearchStrategy[tuple[tuple[int, int], ...]]:
    edge = st.integers(lowest, highest)
    return st.lists(st.tuples(edge, edge).map(lambda pair: (min(pair), max(pair))), max_size=3).map(merged)


WINDOWS = ranges(0, 96).map(lambda found: tuple((a * 900, b * 900) for a, b in found))
LIMITS = st.builds(Limits, ZONES, WINDOWS, ranges(START // SECOND, END // SECOND))
LIMITED = st.builds(Limited, st.one_of(CRONS, EVERYS, ONCES), LIMITS)


def counts(limits: Limits, instant_ns: int) -> bool:
    """The oracle: what the clock on the wall shows."""
    wall = datetime.fromtimestamp(instant_ns // SECOND, ZoneInfo(limits.zone))
    second = wall.hour * 3_600 + wall.minute * 60 + wall.second
    inside = not limits.windows or any(first <= second < end for first, end in limits.windows)
    return inside and not any(first <= instant_ns // SECOND < end for first, end in limits.excepted)


@given(limited=LIMITED, ends=st.tuples(st.integers(START, END), st.integers(START, END)))
def test_what_is_left_is_what_the_wall_allows(limited: Limited, ends: tuple[int, int]) -> None:
    start, end = sorted(ends)
    expected = [at for at in between((limited.times,), start, end) if counts(limited.limits, at)]
    assert list(between((limited,), start, end)) == expected
    assert count_between((limited,), start, end) == len(expected)
    assert last_between((limited,), start, end) == max(expected, default=None)
    assert after((limited,), start, until_ns=end) == min(expected, default=None)


@given(limited=LIMITED)
def test_a_limited_part_is_read_again_from_its_canonical_text(limited: Limited) -> None:
    assert from_text(to_text((limited,))) == (limited,)


@pytest.mark.parametrize(
    "text",
    [
        '[{"of": {"every_ns": 5}, "between": [[5, 1]], "except": [], "zone": "UTC"}]',
        '[{"of": {"every_ns": 5}, "between": [], "except": [[1, 5], [4, 9]], "zone": "UTC"}]',
        '[{"of": {"every_ns": 5}, "between": [], "except": [["a", "b"]], "zone": "UTC"}]',
        '[{"of": {"every_ns": 5}, "between": [], "except": [[1]], "zone": "UTC"}]',
    ],
)
def test_other_limits_are_not_canonical(text: str) -> None:
    with pytest.raises(ValueError, match="is not the canonical text of a schedule"):
        from_text(text)


def test_a_fire_time_after_a_gap_is_judged_by_the_wall_then() -> None:
    cron = Cron("30 2 * * *", "Europe/Berlin")
    gap = parse_rfc3339("2027-03-28T00:00:00Z")
    until_three = Limited(cron, Limits("Europe/Berlin", ((0, 3 * 3_600),)))
    assert list(between((cron,), gap, gap + DAY)) == [parse_rfc3339("2027-03-28T03:00:00+02:00")]
    assert list(between((until_three,), gap, gap + DAY)) == []


def test_a_schedule_of_several_parts_counts_what_is_left_of_each() -> None:
    morning = Limited(Every(HOUR), Limits("UTC", ((0, 6 * 3_600),)))
    noon = Cron("0 0,12 * * *", "UTC")
    assert count_between((morning, noon), START - 1, START + DAY - 1) == 7


NEVER = [
    pytest.param(Limited(Cron("0 20 * * *", "UTC"), Limits("UTC", ((8 * 3_600, 9 * 3_600),))), id="window"),
    pytest.param(Limited(Every(DAY), Limits("UTC", ((60, DAY_S),))), id="interval"),
    pytest.param(Limited(Once(START), Limits("UTC", (), ((0, 1 << 32),))), id="instant"),
]


@pytest.mark.parametrize("limited", NEVER)
def test_the_search_ends_where_nothing_is_left(limited: Limited) -> None:
    """Each of these would take hours, one fire time after the other."""
    ten_years = START + 3_650 * DAY
    assert after((limited,), START) is None
    assert list(between((limited,), START, ten_years)) == []
    assert count_between((limited,), START, ten_years) == 0
    assert last_between((limited,), START, ten_years) is None


def test_seventy_years_of_excepted_seconds_are_left_out_at_once() -> None:
    limited = Limited(Cron("* * * * * *", "UTC"), Limits("UTC", (), ((0, 4_000_000_000),)))
    assert after((limited,), START) == 4_000_000_000 * SECOND
    assert count_between((limited,), START, 4_000_000_001 * SECOND) == 2


def test_ten_years_of_seconds_in_office_hours_are_counted() -> None:
    limited = Limited(Cron("* * * * * *", "UTC"), Limits("UTC", ((8 * 3_600, 18 * 3_600),)))
    years = [round(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * SECOND for year in (2020, 2030)]
    assert count_between((limited,), years[0] - 1, years[1] - 1) == (years[1] - years[0]) // DAY * 36_000


def test_ranges_that_touch_are_one() -> None:
    assert merged([(5, 9), (1, 3), (3, 4), (6, 7), (9, 9), (20, 20)]) == ((1, 4), (5, 9))
