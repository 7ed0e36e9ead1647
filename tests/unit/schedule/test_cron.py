"""What a cron text means, without zones."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from tminus.instants import SECOND, to_datetime, to_ns
from tminus.model.job import Cron
from tminus.schedule.cron import parse
from tminus.schedule.fire_times import after, between

START = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday


def following(text: str, number: int) -> list[str]:
    """The next fire times as `Fri 2026-11-20 11:30:00`."""
    found: list[str] = []
    at: int | None = to_ns(START)
    while at is not None and len(found) < number:
        at = after((Cron(text, "UTC"),), at)
        if at is not None:
            found.append(to_datetime(at).strftime("%a %Y-%m-%d %H:%M:%S"))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 0 * * 0", ["Sun 2026-11-22 00:00:00", "Sun 2026-11-29 00:00:00"]),
        ("0 0 * * 7", ["Sun 2026-11-22 00:00:00", "Sun 2026-11-29 00:00:00"]),
        ("0 0 * * SUN", ["Sun 2026-11-22 00:00:00", "Sun 2026-11-29 00:00:00"]),
        ("0 0 * * 5-7", ["Sat 2026-11-21 00:00:00", "Sun 2026-11-22 00:00:00", "Fri 2026-11-27 00:00:00"]),
        ("30 11 * * mon-fri", ["Mon 2026-11-23 11:30:00", "Tue 2026-11-24 11:30:00"]),
        ("0 0 1 * 1", ["Mon 2026-11-23 00:00:00", "Mon 2026-11-30 00:00:00", "Tue 2026-12-01 00:00:00"]),
        ("0 0 1-7 * */7", ["Sun 2026-12-06 00:00:00", "Sun 2027-01-03 00:00:00"]),
        ("0 0 */10 * mon", ["Mon 2026-12-21 00:00:00", "Mon 2027-01-11 00:00:00"]),
        ("0 2 L * *", ["Mon 2026-11-30 02:00:00", "Thu 2026-12-31 02:00:00", "Sun 2027-01-31 02:00:00"]),
        ("0 2 LW * *", ["Mon 2026-11-30 02:00:00", "Thu 2026-12-31 02:00:00", "Fri 2027-01-29 02:00:00"]),
        ("0 9 * * 2#2", ["Tue 2026-12-08 09:00:00", "Tue 2027-01-12 09:00:00"]),
        ("0 9 * * 5L", ["Fri 2026-11-27 09:00:00", "Fri 2026-12-25 09:00:00"]),
        ("0 0 29 2 *", ["Tue 2028-02-29 00:00:00", "Sun 2032-02-29 00:00:00"]),
        ("0 0 29 2 */7", ["Sun 2032-02-29 00:00:00", "Sun 2060-02-29 00:00:00"]),
        ("0 0 31 4,12 *", ["Thu 2026-12-31 00:00:00", "Fri 2027-12-31 00:00:00"]),
        (
            "15,45 */20 12 * * *",
            ["Fri 2026-11-20 12:00:15", "Fri 2026-11-20 12:00:45", "Fri 2026-11-20 12:20:15"],
        ),
        ("5/20 12 * * *", ["Fri 2026-11-20 12:05:00", "Fri 2026-11-20 12:25:00", "Fri 2026-11-20 12:45:00"]),
        ("5-5/20 12 * * *", ["Fri 2026-11-20 12:05:00", "Sat 2026-11-21 12:05:00"]),
        ("0 0 */31 * mon#2", []),
    ],
)
def test_the_next_fire_times_of(text: str, expected: list[str]) -> None:
    assert following(text, len(expected) or 1) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("61 * * * *", "'61' is not a minute 0–59"),
        ("60 * * * * *", "'60' is not a second 0–59"),
        ("0 24 * * *", "'24' is not an hour 0–23"),
        ("0 0 * 13 *", "'13' is not a month 1–12 or jan–dec"),
        ("0 0 30 2 *", "never fires: no such day as 30 2 *"),
        ("0 0 * * sunday", "'sunday' is not a day of week 0–7 or sun–sat"),
        ("0 0 32W * *", "'32W' is not a day of month 1–31, L, LW or 15W"),
        ("0 0 W * *", "'W' is not a day of month 1–31, L, LW or 15W"),
        ("5-5/0 * * * *", "'5-5/0' is not a minute 0–59"),
        ("0 0 * *", "a cron text has 5 fields, or 6 with seconds first; this one has 4 fields"),
        ("0 0 0 1 1 * 2026", "a cron text has 5 fields, or 6 with seconds first; this one has 7 fields"),
        ("@daily", "a cron text has 5 fields, or 6 with seconds first; this one has 1 field"),
    ],
)
def test_an_invalid_cron_text_is_refused_with_a_message(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as refusal:
        parse(text)
    assert str(refusal.value) == message


@given(
    text=st.lists(st.text("0123456789*/-,#LWlwsunJAN²ſ ", max_size=7), min_size=5, max_size=6).map(" ".join)
)
def test_any_text_is_a_cron_or_a_value_error(text: str) -> None:
    try:
        pattern = parse(text)
    except ValueError:
        return
    assert list(pattern.times) == sorted(set(pattern.times))


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        ("30 2 * * *", True),
        ("0-59 0-23 * * *", True),
        ("1,* 2 * * *", True),
        ("* 2 * * *", False),
        ("*/10 2 * * *", False),
        ("30 */2 * * *", False),
        ("*,5 2 * * *", False),
        ("* 30 2 * * *", True),
        ("0 * 2 * * *", False),
    ],
)
def test_a_job_is_fixed_where_neither_minute_nor_hour_begins_with_a_star(text: str, fixed: bool) -> None:
    assert parse(text).is_fixed is fixed


def simulated(text: str, start: datetime) -> Iterator[datetime]:
    return iter(CronSim(text, start))


FIELD = st.sampled_from(["*", "*/7", "0", "1,5", "2-4", "1-5/2", "5/3"])


@given(
    time=st.lists(FIELD, min_size=2, max_size=3).map(" ".join),
    days=st.tuples(
        FIELD.filter(lambda field: field != "0"), FIELD.filter(lambda field: field != "0"), FIELD
    ).map(" ".join),
    start=st.integers(0, 2_145_916_800),
)
def test_without_transitions_cronsim_finds_the_same(time: str, days: str, start: int) -> None:
    text = f"{time} {days}"
    expected = [to_ns(at) for at in islice(simulated(text, to_datetime(start * SECOND)), 12)]
    assert list(between((Cron(text, "UTC"),), start * SECOND, expected[-1])) == expected


def test_fire_times_end_with_the_last_year_that_has_them() -> None:
    daily = (Cron("0 0 * * *", "America/New_York"),)
    last = to_ns(datetime(9998, 12, 31, 5, tzinfo=UTC))
    assert after(daily, last - 1) == last
    assert after(daily, last) is None
    assert after((Cron("0 0 */31 * mon#2", "UTC"),), last) is None


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        pytest.param(
            "15W", "01-15 02-16 03-16 04-15 05-15 06-15 07-15 08-14 09-15 10-15 11-16 12-15", id="15W"
        ),
        pytest.param(
            "1W", "01-01 02-02 03-02 04-01 05-01 06-01 07-01 08-03 09-01 10-01 11-02 12-01", id="1W"
        ),
        pytest.param("31W", "01-30 03-31 05-29 07-31 08-31 10-30 12-31", id="31W, in long months only"),
        pytest.param("28W,L", "01-28 01-31 02-27 02-28 03-27 03-31", id="in a list"),
    ],
)
def test_the_weekday_nearest_to_a_day_in_2026(day: str, expected: str) -> None:
    start = (date(2026, 1, 1) - date(1970, 1, 1)).days
    found = parse(f"0 0 {day} * *").days(start, start + 365)
    days = [f"{date(1970, 1, 1) + timedelta(number):%m-%d}" for number in found]
    assert days[: len(expected.split())] == expected.split()
    assert "," in day or len(days) == len(expected.split())
