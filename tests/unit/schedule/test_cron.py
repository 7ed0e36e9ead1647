"""What a cron text means, without zones."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.instants import SECOND, to_datetime, to_ns
from scheduler.model.job import Cron
from scheduler.schedule.cron import parse
from scheduler.schedule.fire_times import after, between

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
        ("15,45 */20 12 * * *", ["Fri 2026-11-20 12:00:15", "Fri 2026-11-20 12:00:45", "Fri 2026-11-20 12:20:15"]),
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
        ("61 * * * *", "minute '61' in cron '61 * * * *': it takes 0 to 59"),
        ("60 * * * * *", "second '60' in cron '60 * * * * *': it takes 0 to 59"),
        ("0 24 * * *", "hour '24' in cron '0 24 * * *': it takes 0 to 23"),
        ("0 0 * 13 *", "month '13' in cron '0 0 * 13 *': it takes 1 to 12, or jan to dec"),
        (
            "0 0 30 2 *",
            "day-of-month '30' in cron '0 0 30 2 *': it takes 1 to 31, L or LW, and one that its months have",
        ),
        (
            "0 0 * * sunday",
            "day-of-week 'sunday' in cron '0 0 * * sunday': "
            "it takes 0 to 7, or sun to sat; 5L is the last Friday, 5#2 the second",
        ),
        ("5-5/0 * * * *", "minute '5-5/0' in cron '5-5/0 * * * *': it takes 0 to 59"),
        ("0 0 * *", "a cron has 5 fields, or 6 with seconds first; '0 0 * *' has 4"),
        ("0 0 0 1 1 * 2026", "a cron has 5 fields, or 6 with seconds first; '0 0 0 1 1 * 2026' has 7"),
        ("@daily", "a cron has 5 fields, or 6 with seconds first; '@daily' has 1"),
    ],
)
def test_a_text_that_is_no_cron_is_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as refusal:
        parse(text)
    assert str(refusal.value) == message


@given(text=st.lists(st.text("0123456789*/-,#LWlwsunJAN²ſ ", max_size=7), min_size=5, max_size=6).map(" ".join))
@settings(deadline=None)
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
    days=st.tuples(FIELD.filter(lambda field: field != "0"), FIELD.filter(lambda field: field != "0"), FIELD).map(" ".join),
    start=st.integers(0, 2_145_916_800),
)
@settings(max_examples=60, deadline=None)
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
