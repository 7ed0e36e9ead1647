"""Times as users write them."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.errors import UsageError
from tminus.instants import SECOND, parse_rfc3339, rfc3339
from tminus.operations.times import local, parse_time

BERLIN = ZoneInfo("Europe/Berlin")
NOW = parse_rfc3339("2026-11-20T10:30:05Z")  # 11:30:05 in Berlin


def parsed(text: str, *, is_past: bool = False, now_ns: int = NOW) -> str:
    return rfc3339(parse_time(text, zone=BERLIN, now_ns=now_ns, is_past=is_past))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("now", "2026-11-20T10:30:05Z", id="now"),
        pytest.param("+90s", "2026-11-20T10:31:35Z", id="in-ninety-seconds"),
        pytest.param("-90s", "2026-11-20T10:28:35Z", id="ninety-seconds-ago"),
        pytest.param("-1d", "2026-11-19T10:30:05Z", id="a-day-ago"),
        pytest.param("2026-11-20T11:30:00+01:00", "2026-11-20T10:30:00Z", id="rfc-3339"),
        pytest.param("12:00", "2026-11-20T11:00:00Z", id="a-time-of-day-is-in-the-files-zone"),
        pytest.param("11:30", "2026-11-21T10:30:00Z", id="a-time-of-day-is-the-next-one"),
        pytest.param("11:30:06", "2026-11-20T10:30:06Z", id="with-seconds"),
    ],
)
def test_a_time(text: str, expected: str) -> None:
    assert parsed(text) == expected


def test_a_time_of_day_is_the_last_one_where_the_past_is_meant() -> None:
    assert parsed("11:30", is_past=True) == "2026-11-20T10:30:00Z"
    assert parsed("12:00", is_past=True) == "2026-11-19T11:00:00Z"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-19", "2026-11-18T23:00:00Z"),
        ("yesterday", "2026-11-18T23:00:00Z"),
        ("today", "2026-11-19T23:00:00Z"),
        ("1d", "2026-11-19T10:30:05Z"),
    ],
)
def test_days_where_the_past_is_meant(text: str, expected: str) -> None:
    assert parsed(text, is_past=True) == expected
    with pytest.raises(UsageError):
        parsed(text)


@pytest.mark.parametrize("text", ["2026-11-31", "9999-99-99", "99999999d"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parsed(text, is_past=True)


@pytest.mark.parametrize(
    "text", ["", "noon", "25:00", "11:60", "+", "+soon", "2026-11-20", "2026-11-31T11:30"]
)
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parsed(text)
    assert refused.value.exit_code == 2
    assert refused.value.hint


def test_an_instant_is_shown_with_its_zone() -> None:
    assert local(NOW, BERLIN) == "Fri 2026-11-20 11:30:05 CET"
    assert local(NOW + SECOND // 4, BERLIN) == "Fri 2026-11-20 11:30:05.250 CET"


@given(st.integers(-62_000_000_000 * SECOND, 250_000_000_000 * SECOND))
def test_rfc_3339_goes_there_and_back(instant_ns: int) -> None:
    assert parse_rfc3339(rfc3339(instant_ns)) == instant_ns


@given(st.integers(0, 4_000_000_000 * SECOND), st.integers(0, 86_399))
def test_the_next_time_of_day_comes_within_a_day_and_a_bit(now_ns: int, second: int) -> None:
    text = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    at = parse_time(text, zone=BERLIN, now_ns=now_ns)
    assert now_ns < at <= now_ns + 26 * 3600 * SECOND


def test_without_an_offset_it_is_meant_in_the_zone() -> None:
    assert parse_time("2026-11-20T11:30", zone=BERLIN, now_ns=0) == parse_rfc3339("2026-11-20T11:30:00+01:00")
    assert parse_time("2026-07-20 11:30:05", zone=BERLIN, now_ns=0) == parse_rfc3339(
        "2026-07-20T11:30:05+02:00"
    )


@pytest.mark.parametrize("text", ["+300000d", "-90000d"])
def test_what_no_ledger_can_hold_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="too far away"):
        parse_time(text, zone=BERLIN, now_ns=NOW)
