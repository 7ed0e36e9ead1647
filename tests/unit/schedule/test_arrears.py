"""What becomes of fire times that have gone by undecided."""

from hypothesis import given
from hypothesis import strategies as st

from scheduler.instants import SECOND, parse_rfc3339
from scheduler.model.job import Cron, Every, Schedule
from scheduler.policies.coalesce import Coalesce
from scheduler.schedule.arrears import Arrears, arrears
from scheduler.schedule.fire_times import between

NOW = parse_rfc3339("2026-11-20T11:30:05Z")
MINUTE = 60 * SECOND


def owed(schedule: Schedule, *, after_ns: int, grace_ns: int, now_ns: int = NOW) -> Arrears:
    return arrears(schedule, after_ns=after_ns, now_ns=now_ns, grace_ns=grace_ns, policy=Coalesce.LATEST)


def test_nothing_is_owed_where_all_is_decided() -> None:
    assert owed((Every(MINUTE),), after_ns=NOW, grace_ns=MINUTE) == Arrears(runs=None, coalesced=(), missed=None, missed_count=0)


def test_what_is_late_within_its_grace_runs() -> None:
    due = NOW - 5 * SECOND
    assert owed((Every(MINUTE),), after_ns=due - 1, grace_ns=30 * SECOND).runs == due


def test_a_fire_time_is_late_up_to_its_grace_and_missed_beyond() -> None:
    due = NOW - 5 * SECOND
    assert owed((Every(MINUTE),), after_ns=due - 1, grace_ns=5 * SECOND).runs == due
    too_late = owed((Every(MINUTE),), after_ns=due - 1, grace_ns=5 * SECOND - 1)
    assert (too_late.runs, too_late.missed, too_late.missed_count) == (None, due, 1)


def test_of_several_late_ones_the_latest_runs_and_the_others_are_coalesced() -> None:
    three = owed((Every(SECOND),), after_ns=NOW - 3 * SECOND, grace_ns=MINUTE)
    assert (three.runs, three.coalesced) == (NOW, (NOW - 2 * SECOND, NOW - SECOND))


def test_a_week_of_minutes_is_one_missed_row_with_a_count() -> None:
    week = owed((Cron("* * * * *", "UTC"),), after_ns=NOW - 7 * 24 * 60 * MINUTE, grace_ns=0)
    assert (week.missed, week.missed_count) == (parse_rfc3339("2026-11-13T11:31:00Z"), 10_080)


@given(st.integers(0, 400), st.integers(0, 400), st.sampled_from([1, 7, 60]))
def test_every_fire_time_is_decided_exactly_once(gone_s: int, grace_s: int, every_s: int) -> None:
    schedule = (Every(every_s * SECOND),)
    after_ns = NOW - gone_s * SECOND
    found = owed(schedule, after_ns=after_ns, grace_ns=grace_s * SECOND)
    late = sorted([*found.coalesced, *([found.runs] if found.runs is not None else [])])
    due = list(between(schedule, after_ns, NOW))
    assert due[found.missed_count :] == late
    assert found.missed == (due[0] if found.missed_count else None)
