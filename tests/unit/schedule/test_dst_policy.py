"""`dst` of a cron: what becomes of its fixed times where the clocks go forward or back."""

from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.debian_cron import HOUR_S, MINUTE_S, changes, local_rule, walls
from tminus.instants import SECOND, parse_rfc3339, rfc3339
from tminus.model.job import Cron
from tminus.policies.dst import Dst, Gap, OverlapPass
from tminus.schedule.canonical import from_text, to_text
from tminus.schedule.dst import offset_at, transitions
from tminus.schedule.fire_times import after, between, count_between

ZONES = [
    "Africa/Cairo",
    "America/Havana",
    "America/Santiago",
    "America/Scoresbysund",
    "Antarctica/Casey",
    "Antarctica/Troll",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
]
FIXED = ["30 2 * * *", "0,15,30,45 0-4,23 * * *", "30 23 * * sat", "0 0 * * *", "5-50/9 1,2,3 * * 0"]
STARS = ["*/20 * * * *", "*/20 2 * * *", "30 * * * *", "15 */2 * * *"]
RULES = st.builds(Dst, gap=st.sampled_from(Gap), overlap=st.sampled_from(OverlapPass))


def passes(zone: str, second: int) -> tuple[int, int]:
    """Which time the wall shows this minute, and how many times in all."""
    moment = datetime.fromtimestamp(second, ZoneInfo(zone))
    first, last = (moment.replace(fold=fold).utcoffset() for fold in (0, 1))
    assert first is not None
    assert last is not None
    repeated = (first - last).total_seconds()
    return (moment.fold, 2) if 0 < repeated <= 3 * HOUR_S else (0, 1)


def runs(text: str, zone: str, dst: Dst, start_s: int, end_s: int) -> list[int]:
    """The oracle: all minutes after `start_s`, up to `end_s`, with what the wall shows and has skipped."""
    matches, fixed = local_rule(text), text in FIXED
    wanted = {OverlapPass.FIRST: {0}, OverlapPass.SECOND: {1}, OverlapPass.BOTH: {0, 1}}[dst.overlap]
    found = []
    for (_, before), (now, local) in pairwise(walls(zone, start_s, end_s, MINUTE_S)):
        shown, times = passes(zone, now)
        skipped = range(before + MINUTE_S, local, MINUTE_S)
        is_caught_up = (
            fixed and dst.gap is Gap.RUN_AFTER and len(skipped) < 180 and any(map(matches, skipped))
        )
        if is_caught_up or (matches(local) and (not fixed or times == 1 or shown in wanted)):
            found.append(now)
    return found


@given(
    zone=st.sampled_from(ZONES),
    year=st.integers(2020, 2037),
    text=st.sampled_from([*FIXED, *STARS]),
    dst=RULES,
)
def test_any_rules_through_any_transition(zone: str, year: int, text: str, dst: Dst) -> None:
    schedule = (Cron(text, zone, dst),)
    for hour in changes(zone, year):
        start, end = hour - 8 * HOUR_S, hour + 10 * HOUR_S
        expected = [second * SECOND for second in runs(text, zone, dst, start, end)]
        assert list(between(schedule, start * SECOND, end * SECOND)) == expected
        assert count_between(schedule, start * SECOND, end * SECOND) == len(expected)
        one_by_one = [after(schedule, at) for at in (start * SECOND, *expected)]
        assert one_by_one[:-1] == expected


@pytest.mark.parametrize(
    ("dst", "asked", "expected"),
    [
        pytest.param(Dst(gap=Gap.SKIP), "2027-03-27T12:00+01:00", "2027-03-29T02:30:00+02:00", id="skip"),
        pytest.param(Dst(), "2027-03-27T12:00+01:00", "2027-03-28T03:00:00+02:00", id="run-after"),
        pytest.param(Dst(), "2026-10-24T12:00+02:00", "2026-10-25T02:30:00+02:00", id="first"),
        pytest.param(
            Dst(overlap=OverlapPass.SECOND), "2026-10-24T12:00+02:00", "2026-10-25T02:30:00+01:00", id="second"
        ),
        pytest.param(
            Dst(overlap=OverlapPass.SECOND), "2026-10-25T02:10+02:00", "2026-10-25T02:30:00+01:00",
            id="second, asked within the first pass",
        ),
        pytest.param(
            Dst(overlap=OverlapPass.BOTH), "2026-10-25T02:30+02:00", "2026-10-25T02:30:00+01:00", id="both"
        ),
    ],
)  # fmt: skip
def test_half_past_two_in_berlin(dst: Dst, asked: str, expected: str) -> None:
    found = after((Cron("30 2 * * *", "Europe/Berlin", dst),), parse_rfc3339(asked))
    assert found is not None
    assert rfc3339(found, ZoneInfo("Europe/Berlin")) == expected


def test_the_second_pass_of_an_overlap_that_begins_with_the_year() -> None:
    start = parse_rfc3339("2018-12-31T12:00:00Z")
    cron = Cron("30 1 * * *", "Africa/Sao_Tome", Dst(overlap=OverlapPass.SECOND))
    assert after((cron,), start) == parse_rfc3339("2019-01-01T01:30:00Z")


def test_no_overlap_goes_past_the_end_of_a_year() -> None:
    for zone in sorted(available_timezones()):
        for year in range(1971, 2038):
            start = parse_rfc3339(f"{year}-01-01T00:00:00Z") // SECOND
            if offset_at(zone, start - 1) == offset_at(zone, start + 48 * HOUR_S):
                continue
            for change in transitions(zone, year)[:1]:
                assert change.instant_ns // SECOND - len(change.repeated) >= start, (zone, year)


@given(dst=RULES)
def test_the_rules_are_in_the_canonical_text(dst: Dst) -> None:
    schedule = (Cron("30 2 * * *", "Europe/Berlin", dst),)
    assert from_text(to_text(schedule)) == schedule
    assert (to_text(schedule) == '[{"cron": "30 2 * * *", "zone": "Europe/Berlin"}]') == (dst == Dst())
