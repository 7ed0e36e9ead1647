"""after, between and count_between agree with each other, for any schedule."""

import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.instants import MS, SECOND, parse_rfc3339, to_ns
from tminus.model.job import Cron, Every, Once, Schedule
from tminus.schedule.fire_times import MOST_COUNTED, after, between, count_between

DAY = 86_400 * SECOND
#: The autumn's transition in Berlin is in the middle.
START = parse_rfc3339("2026-10-23T00:00:00Z")
END = START + 5 * DAY

CRONS = st.builds(
    Cron,
    st.sampled_from(
        [
            "*/10 * * * *",
            "30 2 * * *",
            "0,30 2 * * *",
            "30 */2 * * sun",
            "0 0 25 * 1",
            "*/30 59 2 * * *",
            "7 * * * * *",
        ]
    ),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "UTC"]),
)
INTERVALS = st.sampled_from([250, 1_000, 7_000, 60_000, 90_500, 100_000, 613_000, 86_400_000, 172_800_001])
EVERYS = st.builds(
    Every, INTERVALS.map(lambda milliseconds: milliseconds * MS).filter(lambda ns: ns > 5_000 * MS)
)
ONCES = st.builds(
    Once, st.one_of(st.integers(START, END), st.integers(START // DAY, END // DAY).map(lambda day: day * DAY))
)
SCHEDULES = st.lists(st.one_of(CRONS, EVERYS, ONCES), max_size=4).map(tuple)
INSTANTS = st.one_of(
    st.integers(START, END), st.integers(START // SECOND, END // SECOND).map(lambda second: second * SECOND)
)


@given(schedule=SCHEDULES, ends=st.tuples(INSTANTS, INSTANTS))
def test_between_is_ascending_without_doubles_and_counted_exactly(
    schedule: Schedule, ends: tuple[int, int]
) -> None:
    start, end = sorted(ends)
    found = list(between(schedule, start, end))
    assert found == sorted(set(found))
    assert all(start < at <= end for at in found)
    assert count_between(schedule, start, end) == len(found)


@given(schedule=SCHEDULES, ends=st.tuples(INSTANTS, INSTANTS, INSTANTS))
def test_a_span_may_be_split_anywhere(schedule: Schedule, ends: tuple[int, int, int]) -> None:
    start, middle, end = sorted(ends)
    assert [*between(schedule, start, middle), *between(schedule, middle, end)] == list(
        between(schedule, start, end)
    )
    assert count_between(schedule, start, middle) + count_between(schedule, middle, end) == count_between(
        schedule, start, end
    )


@given(schedule=SCHEDULES, start=INSTANTS)
def test_after_finds_one_by_one_what_between_finds(schedule: Schedule, start: int) -> None:
    expected = list(islice(between(schedule, start, start + DAY), 500))
    found = [after(schedule, at) for at in (start, *expected)]
    assert found[:-1] == expected
    assert len(expected) == 500 or found[-1] is None or found[-1] > start + DAY


@given(
    schedule=st.lists(st.one_of(CRONS, st.builds(Every, INTERVALS.map(lambda ms: ms * MS))), max_size=4).map(
        tuple
    )
)
def test_intervals_below_a_second_are_counted_with_what_falls_on_them(schedule: Schedule) -> None:
    start, end = START + 2 * DAY - 1, START + 2 * DAY + 600 * SECOND
    assert count_between(schedule, start, end) == len(list(between(schedule, start, end)))


def test_an_interval_counts_from_1970() -> None:
    every = (Every(90 * SECOND),)
    assert after(every, 0) == 90 * SECOND
    assert after(every, -1) == 0
    assert list(between(every, -180 * SECOND, 90 * SECOND)) == [-90 * SECOND, 0, 90 * SECOND]


def test_an_instant_comes_once() -> None:
    once = (Once(START),)
    assert after(once, START - 1) == START
    assert after(once, START) is None
    assert (count_between(once, START - 1, START), count_between(once, START, END)) == (1, 0)


def test_a_job_without_a_schedule_has_no_fire_times() -> None:
    assert after((), START) is None
    assert list(between((), START, END)) == []
    assert count_between((), START, END) == 0


def test_the_start_is_left_out_and_the_end_is_not() -> None:
    minutely = (Cron("* * * * *", "UTC"),)
    assert list(between(minutely, START, START + 60 * SECOND)) == [START + 60 * SECOND]
    assert list(between(minutely, END, START)) == []
    assert count_between(minutely, END, START) == 0


def test_parts_that_fall_on_one_instant_are_one_fire_time() -> None:
    half_past_eleven = parse_rfc3339("2026-11-20T11:30:00Z")
    schedule = (
        Cron("30 11 * * *", "UTC"),
        Cron("30 12 * * *", "Europe/Berlin"),
        Every(1_800 * SECOND),
        Once(half_past_eleven),
    )
    assert list(between(schedule, half_past_eleven - 1, half_past_eleven)) == [half_past_eleven]
    assert count_between(schedule, half_past_eleven - 1, half_past_eleven) == 1


def test_an_instant_that_is_a_fire_time_of_a_cron_too_counts_once() -> None:
    noon = parse_rfc3339("2026-11-20T12:00:00Z")
    schedule = (Cron("0 12 * * *", "UTC"), Once(noon), Once(noon + 1))
    assert count_between(schedule, noon - DAY, noon + DAY - 1) == 2
    assert len(list(between(schedule, noon - DAY, noon + DAY - 1))) == 2


YEARS = (to_ns(datetime(2020, 1, 1, tzinfo=UTC)), to_ns(datetime(2030, 1, 1, tzinfo=UTC)))
DAYS = (YEARS[1] - YEARS[0]) // DAY


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        pytest.param((Cron("* * * * *", "Europe/Berlin"),), DAYS * 1_440, id="minutely"),
        pytest.param((Cron("* * * * * *", "Europe/Berlin"),), DAYS * 86_400, id="secondly"),
        pytest.param((Cron("30 2 * * *", "Europe/Berlin"),), DAYS, id="daily, through every gap and overlap"),
        pytest.param(
            (Cron("* * * * * *", "UTC"), Every(2 * SECOND)), MOST_COUNTED, id="more than are counted"
        ),
        pytest.param((Cron("0 9 * * *", "UTC"), Cron("0 17 * * *", "UTC")), DAYS * 2, id="two daily"),
    ],
)
def test_ten_years_are_counted(schedule: Schedule, expected: int) -> None:
    assert count_between(schedule, YEARS[0] - 1, YEARS[1] - 1) == expected


def test_a_fire_time_that_several_intervals_share_counts_once() -> None:
    primes = (2, 3, 5, 7, 11, 13)
    total = math.prod(primes)
    expected = sum(1 for second in range(1, total + 1) if any(second % prime == 0 for prime in primes))
    assert count_between(tuple(Every(prime * SECOND) for prime in primes), 0, total * SECOND) == expected


def test_threads_that_meet_a_new_schedule_at_once_get_one_answer() -> None:
    threads = 8
    barrier = Barrier(threads)
    schedules = [(Cron(f"{minute} 2 * * 1#{nth}", "Asia/Gaza"),) for minute in range(20) for nth in (1, 5)]

    def ask(_: int) -> Iterable[int | None]:
        barrier.wait()
        return [after(schedule, START) for schedule in schedules] + [
            count_between(s, START, END + 300 * DAY) for s in schedules
        ]

    with ThreadPoolExecutor(threads, thread_name_prefix="asker") as pool:
        answers = list(pool.map(ask, range(threads)))
    assert all(answer == answers[0] for answer in answers)
