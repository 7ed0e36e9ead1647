"""Instants go from text to nanoseconds and back without losing one."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.instants import LATEST_NS, MS, SECOND, format_duration, parse_rfc3339, rfc3339, to_datetime, to_ns

#: Years 1 to 9999, what a `datetime` holds.
FIRST_NS, LAST_NS = -62_135_596_800 * SECOND, 253_402_300_799 * SECOND + 999_999_999
instants = st.integers(min_value=FIRST_NS, max_value=LAST_NS)
offsets = st.integers(min_value=-23 * 60 - 59, max_value=23 * 60 + 59)


@given(instants)
def test_text_goes_there_and_back_to_the_nanosecond(instant_ns: int) -> None:
    assert parse_rfc3339(rfc3339(instant_ns)) == instant_ns


@given(st.integers(min_value=-LATEST_NS, max_value=LATEST_NS), offsets)
def test_text_in_any_zone_is_the_same_instant(instant_ns: int, minutes: int) -> None:
    assert parse_rfc3339(rfc3339(instant_ns, timezone(timedelta(minutes=minutes)))) == instant_ns


@given(instants)
def test_a_datetime_is_the_instant_cut_to_its_microsecond(instant_ns: int) -> None:
    moment = to_datetime(instant_ns)
    assert to_ns(moment) == instant_ns // 1_000 * 1_000
    assert moment.tzinfo is UTC


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_datetime_goes_there_and_back(moment: datetime) -> None:
    assert to_datetime(to_ns(moment)) == moment


@given(instants, instants)
def test_later_instants_have_later_texts(one_ns: int, another_ns: int) -> None:
    """To the second: dropped zeros would make a text of the same second shorter."""
    one, another = (rfc3339(instant_ns)[:19] for instant_ns in (one_ns, another_ns))
    assert (one <= another) or one_ns > another_ns


@pytest.mark.parametrize(
    ("instant_ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (1_500_000_000, "1970-01-01T00:00:01.5Z"),
        (1_000_000_010, "1970-01-01T00:00:01.00000001Z"),
        (1_795_174_200 * SECOND, "2026-11-20T11:30:00Z"),
        (LATEST_NS, "2262-04-11T23:47:16.854775807Z"),
        (FIRST_NS, "0001-01-01T00:00:00Z"),
        (LAST_NS, "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_trailing_zeros_are_dropped_and_nothing_else(instant_ns: int, text: str) -> None:
    assert rfc3339(instant_ns) == text


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("Europe/Berlin", "2026-11-20T12:30:00+01:00"),
        ("America/St_Johns", "2026-11-20T08:00:00-03:30"),
        ("Europe/London", "2026-11-20T11:30:00+00:00"),
    ],
)
def test_a_zone_shows_its_offset(zone: str, text: str) -> None:
    assert rfc3339(1_795_174_200 * SECOND, ZoneInfo(zone)) == text


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-11-20t11:30:00z", "2026-11-20T11:30:00Z"),
        ("2026-11-20 11:30:00Z", "2026-11-20T11:30:00Z"),
        ("2026-11-20T11:30Z", "2026-11-20T11:30:00Z"),
        ("2026-11-20T11:30:00.000000000Z", "2026-11-20T11:30:00Z"),
        ("2026-11-20T12:30:00+01:00", "2026-11-20T11:30:00Z"),
        ("2026-11-20T11:30:00-00:00", "2026-11-20T11:30:00Z"),
        ("2026-11-20T00:00:00+23:59", "2026-11-19T00:01:00Z"),
    ],
)
def test_what_rfc_3339_allows_is_understood(text: str, same: str) -> None:
    assert rfc3339(parse_rfc3339(text)) == same


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-11-20",
        "2026-11-20T11:30:00",
        "2026-11-20T11:30:00.Z",
        "2026-11-20T11:30.5Z",
        "2026-11-20T11:30:00.0000000001Z",
        "2026-11-20T11:30:00,5Z",
        "2026-11-20T11:30:00+0100",
        "2026-11-20T11:30:00+01",
        "2026-11-20T11:30:00+24:00",
        "2026-11-20T24:30:00Z",
        "2026-11-20T11:60:00Z",
        "2026-11-20T11:30:60Z",
        "2026-02-29T11:30:00Z",
        "2026-13-01T11:30:00Z",
        "0000-01-01T00:00:00Z",
        " 2026-11-20T11:30:00Z",
        "2026-11-20T11:30:00Z\n",
        "２０２６-11-20T11:30:00Z",
        "2026-11-20T11:30:00.٣Z",
        "20261120T113000Z",
        "2026-W47-5T11:30:00Z",
    ],
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_rfc3339(text)


@given(st.text(alphabet="0123456789-:TZ+. ", max_size=40))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    try:
        instant_ns = parse_rfc3339(text)
    except ValueError:
        return
    assert isinstance(instant_ns, int)


@pytest.mark.parametrize(
    ("duration_ns", "expected", "in_whole_seconds"),
    [
        (0, "0 µs", "0 s"),
        (462_000, "462 µs", "0 s"),
        (1_382_000, "1.38 ms", "0 s"),
        (-212 * MS, "212 ms", "0 s"),
        (1_840 * MS, "1.84 s", "1 s"),
        (59 * SECOND, "59 s", "59 s"),
        (60 * SECOND, "1 min", "1 min"),
        (329_400 * MS, "5 min 29 s", "5 min 29 s"),
        (3_600 * SECOND, "1 h", "1 h"),
        (11_400 * SECOND, "3 h 10 min", "3 h 10 min"),
        (1_051_200 * SECOND, "12 d 4 h", "12 d 4 h"),
    ],
)
def test_a_duration_for_people(duration_ns: int, expected: str, in_whole_seconds: str) -> None:
    assert format_duration(duration_ns) == expected
    assert format_duration(duration_ns, whole_seconds=True) == in_whole_seconds
