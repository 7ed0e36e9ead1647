"""Times of day as deadlines: on the day of the fire time, in the zone of the job."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.instants import SECOND, parse_rfc3339, rfc3339
from tminus.model.job import Cron
from tminus.schedule.times_of_day import deadline_ns, first_fire_time_ns

BERLIN = Cron("0 0 23 * * *", "Europe/Berlin")


@pytest.mark.parametrize(
    ("fire_time", "deadline"),
    [
        ("2026-11-20T16:45:00Z", "2026-11-20T22:00:00Z"),
        ("2026-11-20T22:00:00Z", "2026-11-20T22:00:00Z"),
        ("2026-11-20T22:00:01Z", "2026-11-21T22:00:00Z"),  # later in the day: that of the next day
        ("2026-07-20T16:45:00Z", "2026-07-20T21:00:00Z"),
    ],
)
def test_the_deadline_of_a_fire_time_is_on_its_day(fire_time: str, deadline: str) -> None:
    found = deadline_ns(BERLIN, parse_rfc3339(fire_time))
    assert found is not None
    assert rfc3339(found) == deadline


def test_a_deadline_that_a_gap_skips_is_right_after_it() -> None:
    found = deadline_ns(Cron("0 30 2 * * *", "Europe/Berlin"), parse_rfc3339("2026-03-29T00:00:00Z"))
    assert found == parse_rfc3339("2026-03-29T01:00:00Z")


def test_no_time_of_day_is_no_deadline() -> None:
    assert deadline_ns(None, 0) is None
    assert first_fire_time_ns(None, now_ns=0) is None


@given(st.integers(0, 10 * 366 * 86_400), st.integers(-3 * 86_400, 3 * 86_400))
def test_a_fire_time_may_run_until_its_deadline(now_s: int, before_s: int) -> None:
    now_ns = parse_rfc3339("2026-01-01T00:00:00Z") + now_s * SECOND
    first_ns = first_fire_time_ns(BERLIN, now_ns=now_ns)
    assert first_ns is not None
    deadline = deadline_ns(BERLIN, now_ns - before_s * SECOND)
    assert deadline is not None
    assert (deadline >= now_ns) is (now_ns - before_s * SECOND >= first_ns)
