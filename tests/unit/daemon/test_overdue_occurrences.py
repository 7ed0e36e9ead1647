"""Overdue fire times: each one runs, is coalesced into one that runs, or is missed, and none is two of these."""

from hypothesis import given
from hypothesis import strategies as st

from tests.support.values import a_due, a_job
from tminus.daemon.batches.overdue_occurrences import decide_overdue
from tminus.instants import SECOND, parse_rfc3339
from tminus.model.job import Cron, Every, Schedule
from tminus.outcome import Origin, Outcome
from tminus.policies.catch_up import CatchUp
from tminus.policies.coalesce import Coalesce
from tminus.schedule.fire_times import between

NOW = parse_rfc3339("2026-11-20T11:30:05Z")
SCHEDULES: list[Schedule] = [
    (Every(SECOND),),
    (Every(7 * SECOND), Every(60 * SECOND)),
    (Cron("*/5 * * * * *", "UTC"), Every(3 * SECOND)),
]


@given(
    st.sampled_from(SCHEDULES),
    st.sampled_from(Coalesce),
    st.integers(0, 400),
    st.integers(0, 400),
    st.integers(0, 400),
    st.integers(1, 30),
    st.lists(st.tuples(st.integers(-410, 10), st.integers(0, 50)), max_size=4),
    st.sets(st.integers(0, 400), max_size=4),
)
def test_every_overdue_fire_time_is_decided_once(
    schedule: Schedule,
    coalesce: Coalesce,
    gone_s: int,
    grace_s: int,
    window_s: int,
    most: int,
    rows: list[tuple[int, int]],
    left_s: set[int],
) -> None:
    job = a_job(
        schedule=schedule,
        coalesce=coalesce,
        misfire_grace_ns=grace_s * SECOND,
        catch_up=CatchUp(window_ns=window_s * SECOND, most=most),
    )
    after_ns, back_s = NOW - gone_s * SECOND, max(grace_s, window_s)
    due = set(between(schedule, after_ns, NOW))
    left = {NOW - at_s * SECOND for at_s in left_s if at_s <= back_s} & due
    covered = [(NOW + first * SECOND, NOW + (first + length) * SECOND) for first, length in rows]
    covered += [(at, at) for at in left]
    without_row = {at for at in due if not any(first <= at <= last for first, last in covered)}

    found = decide_overdue(
        job,
        after_ns=after_ns,
        now_ns=NOW,
        version="0123456789ab",
        covered=covered,
        left=[a_due(job, fire_time_ns=at, is_written=True) for at in left],
    )

    decided = [one.id.fire_time_ns for one in found.runs]
    for result in found.decided:
        times = list(
            between(schedule, result.id.fire_time_ns - 1, result.covers_until_ns or result.id.fire_time_ns)
        )
        assert len(times) == result.count
        decided += times
    assert sorted(decided) == sorted(without_row | left)
    may_run = {at for at in without_row | left if at >= NOW - back_s * SECOND}
    assert len(found.runs) == min(len(may_run), most if coalesce is Coalesce.ALL else 1)
    for one in found.runs:
        is_late = one.id.fire_time_ns >= NOW - grace_s * SECOND
        assert one.id.fire_time_ns in may_run
        assert (one.origin, one.planned_at_ns) == (
            (Origin.SCHEDULE, one.id.fire_time_ns) if is_late else (Origin.CATCH_UP, NOW)
        )
    assert [one.id for one in found.runs] == sorted(one.id for one in found.runs)
    outcomes = {one.outcome for one in found.decided if one.id.fire_time_ns in may_run}
    assert outcomes <= {Outcome.MISSED if coalesce is Coalesce.ALL else Outcome.SKIPPED}


def test_what_a_long_stop_leaves_beyond_max_catchup_is_one_missed_row() -> None:
    job = a_job(
        schedule=(Every(SECOND),), coalesce=Coalesce.ALL, catch_up=CatchUp(window_ns=3600 * SECOND, most=10)
    )
    found = decide_overdue(job, after_ns=NOW - 86_400 * SECOND, now_ns=NOW, version="0123456789ab")
    (rest,) = found.decided
    assert (rest.count, rest.outcome) == (86_400 - 10, Outcome.MISSED)
    assert rest.reason == (
        "86390 fire times were not started in time: later than the misfire_grace_time of 30 s and "
        "catchup_window of 3600 s, or beyond max_catchup 10"
    )
    assert [one.id.fire_time_ns for one in found.runs] == [NOW - n * SECOND for n in reversed(range(10))]


def test_the_earliest_of_a_year_of_seconds_runs_and_one_row_stands_for_the_others() -> None:
    job = a_job(
        schedule=(Every(SECOND),),
        coalesce=Coalesce.EARLIEST,
        catch_up=CatchUp(window_ns=366 * 86_400 * SECOND, most=100),
    )
    found = decide_overdue(job, after_ns=NOW - 365 * 86_400 * SECOND, now_ns=NOW, version="0123456789ab")
    (one,), (rest,) = found.runs, found.decided
    assert (one.origin, rest.outcome, rest.count) == (Origin.CATCH_UP, Outcome.SKIPPED, 365 * 86_400 - 1)
    assert rest.reason == f"coalesced into {one.id}"


def test_a_catch_up_that_a_busy_machine_delays_is_not_missed() -> None:
    window_ns = 6 * 3600 * SECOND
    job = a_job(schedule=(Cron("0 * * * *", "UTC"),), catch_up=CatchUp(window_ns=window_ns, most=1))
    found = decide_overdue(job, after_ns=NOW - window_ns, now_ns=NOW, version="0123456789ab")
    assert [one.latest_start_ns for one in found.runs] == [NOW + window_ns]


def test_no_catch_up_runs_after_the_time_of_day_that_the_job_sets() -> None:
    """The job is due each hour from 06:30; at 11:30 of the next day, only those of this day are left."""
    job = a_job(
        schedule=(Cron("30 6-20 * * *", "UTC"),),
        coalesce=Coalesce.ALL,
        catch_up=CatchUp(window_ns=86_400 * SECOND, most=100),
        not_after=Cron("0 0 22 * * *", "UTC"),
    )
    found = decide_overdue(job, after_ns=NOW - 86_400 * SECOND, now_ns=NOW, version="0123456789ab")
    assert [one.id.fire_time_ns for one in found.runs] == [
        parse_rfc3339(f"2026-11-20T{hour:02}:30:00Z") for hour in range(6, 12)
    ]
    assert {one.latest_start_ns for one in found.runs} <= {
        parse_rfc3339("2026-11-20T22:00:00Z"),
        NOW + job.misfire_grace_ns,  # of the last one, which is late and no catch-up
    }
    (missed,) = found.decided
    assert (missed.outcome, missed.count) == (Outcome.MISSED, 9)
    assert missed.reason.endswith("or than its not_after")


def test_what_an_earlier_process_has_left_past_its_not_after_is_missed() -> None:
    job = a_job(schedule=(Every(3600 * SECOND),), misfire_grace_ns=86_400 * SECOND)
    left = a_due(job, fire_time_ns=NOW - 3605 * SECOND, is_written=True, not_after_ns=NOW - 1)
    found = decide_overdue(job, after_ns=NOW, now_ns=NOW, version="0123456789ab", left=[left])
    assert (list(found.runs), [one.outcome for one in found.decided]) == ([], [Outcome.MISSED])
