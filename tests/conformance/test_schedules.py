"""What a job owes: from when, and up to where it is decided."""

import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler.instants import SECOND
from scheduler.ledger import outcomes, schedules
from scheduler.ledger.engine import Ledger
from scheduler.outcome import Origin, Outcome
from tests.support.ledgers import T, claim, dues_of

#: Hypothesis tries many on one ledger: each has a job of its own.
EACH = itertools.count()
HOUR = 3_600 * SECOND


def decide_until(ledger: Ledger, *marks: int, job: str = "pay") -> None:
    """A `missed` row for each, that stands for all fire times up to there."""
    for number, until_ns in enumerate(marks):
        (due,) = dues_of(job, fire_time_ns=T - 90 * HOUR + number, origin=Origin.CATCH_UP)
        outcomes.decide(ledger, [due.ends(Outcome.MISSED, "late", count=3, covers_until_ns=until_ns)], now_ns=T)


def test_a_new_job_owes_its_instants_from_now_on(ledger: Ledger) -> None:
    assert schedules.adopt(ledger, {"pay": "every 1h"}, now_ns=T) == {"pay": T}


def test_a_job_that_is_known_owes_since_it_was_first_seen(ledger: Ledger) -> None:
    schedules.adopt(ledger, {"pay": "every 1h"}, now_ns=T)
    assert schedules.adopt(ledger, {"pay": "every 1h", "pack": "every 1d"}, now_ns=T + 9 * HOUR) == {
        "pay": T,
        "pack": T + 9 * HOUR,
    }


def test_a_job_owes_what_comes_after_its_last_row(ledger: Ledger) -> None:
    schedules.adopt(ledger, {"pay": "every 1h"}, now_ns=T)
    claim(ledger, dues_of("pay", fire_time_ns=T + HOUR))
    assert schedules.adopt(ledger, {"pay": "every 1h"}, now_ns=T + 9 * HOUR) == {"pay": T + HOUR}


def test_a_run_by_hand_is_nothing_that_was_owed(ledger: Ledger) -> None:
    schedules.adopt(ledger, {"pay": "every 1h"}, now_ns=T)
    claim(ledger, dues_of("pay", fire_time_ns=T + HOUR, origin=Origin.MANUAL))
    assert schedules.adopt(ledger, {"pay": "every 1h"}, now_ns=T + 9 * HOUR) == {"pay": T}


def test_a_job_whose_schedule_has_changed_owes_the_new_one_from_now_on(ledger: Ledger) -> None:
    schedules.adopt(ledger, {"pay": "every 1h"}, now_ns=T)
    assert schedules.adopt(ledger, {"pay": "every 2h"}, now_ns=T + HOUR) == {"pay": T + HOUR}
    assert schedules.adopt(ledger, {"pay": "every 2h"}, now_ns=T + 9 * HOUR) == {"pay": T + HOUR}


def test_a_job_that_was_gone_owes_nothing_of_that_time(ledger: Ledger) -> None:
    schedules.adopt(ledger, {"pay": "every 1h"}, now_ns=T)
    schedules.adopt(ledger, {}, now_ns=T + HOUR)
    assert schedules.adopt(ledger, {"pay": "every 1h"}, now_ns=T + 9 * HOUR) == {"pay": T + 9 * HOUR}


def test_a_row_that_stands_for_several_moves_what_is_owed_behind_the_last_of_them(ledger: Ledger) -> None:
    schedules.adopt(ledger, {"pay": "every 1h", "pack": "every 1h"}, now_ns=T)
    decide_until(ledger, T + 3 * HOUR)
    assert schedules.adopt(ledger, {"pay": "every 1h", "pack": "every 1h"}, now_ns=T + 9 * HOUR) == {
        "pay": T + 3 * HOUR,
        "pack": T,
    }


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(marks=st.lists(st.integers(min_value=T - HOUR, max_value=T + HOUR), min_size=1, max_size=4))
def test_a_mark_never_moves_back_even_where_the_clock_does(ledger: Ledger, marks: list[int]) -> None:
    job = f"pay-{next(EACH)}"
    schedules.adopt(ledger, {job: "every 1h"}, now_ns=T)
    decide_until(ledger, *marks, job=job)
    assert schedules.adopt(ledger, {job: "every 1h"}, now_ns=T + 9 * HOUR)[job] == max(T, *marks)


def test_of_several_marks_in_one_group_the_furthest_holds(ledger: Ledger) -> None:
    schedules.adopt(ledger, {"pay": "every 1h"}, now_ns=T)
    one, another = dues_of("pay", fire_time_ns=T + 1), dues_of("pay", fire_time_ns=T + 2)
    decided = [
        one[0].ends(Outcome.MISSED, "late", covers_until_ns=T + 3 * HOUR),
        another[0].ends(Outcome.MISSED, "late", covers_until_ns=T + 2 * HOUR),
    ]
    outcomes.decide(ledger, decided, now_ns=T + 4 * HOUR)
    assert schedules.adopt(ledger, {"pay": "every 1h"}, now_ns=T + 9 * HOUR) == {"pay": T + 3 * HOUR}


def test_ten_thousand_jobs_are_adopted_at_once(ledger: Ledger) -> None:
    wanted = {f"job_{number}": "every 1h" for number in range(10_000)}
    assert schedules.adopt(ledger, wanted, now_ns=T) == dict.fromkeys(wanted, T)
    assert schedules.adopt(ledger, wanted, now_ns=T + HOUR) == dict.fromkeys(wanted, T)
