"""The work for a question about fire times is bounded, however many there are, or if there is none."""

import sys
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

from tminus.instants import SECOND, parse_rfc3339
from tminus.model.job import Cron, Every, Limited, Limits, Part
from tminus.policies.dst import Dst, Gap, OverlapPass
from tminus.schedule.fire_times import after, between, count_between, last_between, newest_between
from tminus.schedule.overdue_fire_times import classify_overdue

START = parse_rfc3339("2026-11-20T11:30:00Z")
YEARS = 10
END = START + YEARS * 366 * 86_400 * SECOND

NEVER = [
    pytest.param(Cron("0 0 31W 2 *", "Europe/Berlin"), id="no such day"),
    pytest.param(Cron("0 0 30W 2 *", "UTC"), id="no such day, in UTC"),
    pytest.param(
        Limited(Cron("0 20 * * *", "Europe/Berlin"), Limits("Europe/Berlin", ((28_800, 64_800),))),
        id="outside its window",
    ),
    pytest.param(
        Limited(Cron("30 2 28 3 *", "Europe/Berlin"), Limits("Europe/Berlin", ((0, 60),))),
        id="once a year, outside its window",
    ),
]
OFTEN = [
    pytest.param(Cron("* * * * * *", "Europe/Berlin"), id="each second"),
    pytest.param(
        Cron("* * * * * *", "Europe/Berlin", Dst(gap=Gap.SKIP, overlap=OverlapPass.SECOND)), id="dst"
    ),
    pytest.param(Every(SECOND), id="an interval of a second"),
    pytest.param(
        Limited(Every(SECOND), Limits("Europe/Berlin", ((28_800, 64_800),))),
        id="each second of each day's window",
    ),
]
QUESTIONS: dict[str, Callable[[Part], Any]] = {
    "after": lambda part: after((part,), START),
    "between": lambda part: list(islice(between((part,), START, END), 100)),
    "count": lambda part: count_between((part,), START, END),
    "last": lambda part: last_between((part,), START, END),
    "newest": lambda part: newest_between((part,), START, END, 10),
    "overdue": lambda part: classify_overdue((part,), after_ns=START, now_ns=END, back_ns=60 * SECOND),
}
#: Functions called for one question; ten years have 315 million seconds.
MOST_CALLS = 1_000_000


def calls_of(question: Callable[[Part], Any], part: Part) -> tuple[Any, int]:
    """The answer, and how many functions were called for it."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        answer = question(part)
    finally:
        sys.setprofile(before)
    return answer, calls


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("part", NEVER)
def test_about_a_schedule_that_never_fires(part: Part, question: str) -> None:
    answer, calls = calls_of(QUESTIONS[question], part)
    assert not answer or (question == "overdue" and (answer.missed, answer.late) == ((), ()))
    assert calls < MOST_CALLS


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("part", OFTEN)
def test_about_a_schedule_that_fires_each_second_for_years(part: Part, question: str) -> None:
    answer, calls = calls_of(QUESTIONS[question], part)
    assert answer
    assert calls < MOST_CALLS
