"""What becomes of fire times that have passed without a row."""

from hypothesis import given
from hypothesis import strategies as st

from tminus.instants import SECOND, parse_rfc3339
from tminus.model.job import Cron, Every, Schedule
from tminus.policies.jitter import jittered
from tminus.schedule.fire_times import between, last_between, newest_between
from tminus.schedule.overdue_fire_times import OverdueFireTimes, Stretch, classify_overdue

NOW = parse_rfc3339("2026-11-20T11:30:05Z")
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE


def owed(
    schedule: Schedule, *, after_ns: int, grace_ns: int, covered: tuple[tuple[int, int], ...] = ()
) -> OverdueFireTimes:
    return classify_overdue(schedule, after_ns=after_ns, now_ns=NOW, back_ns=grace_ns, covered=covered)


def test_nothing_is_owed_where_all_is_decided() -> None:
    assert owed((Every(MINUTE),), after_ns=NOW, grace_ns=MINUTE) == OverdueFireTimes(missed=(), late=())


def test_a_fire_time_is_late_up_to_its_grace_and_missed_beyond() -> None:
    due = NOW - 5 * SECOND
    once = Stretch(first_ns=due, until_ns=NOW, count=1)
    assert owed((Every(MINUTE),), after_ns=due - 1, grace_ns=5 * SECOND) == OverdueFireTimes(
        missed=(), late=(once,)
    )
    too_late = owed((Every(MINUTE),), after_ns=due - 1, grace_ns=5 * SECOND - 1)
    assert too_late == OverdueFireTimes(missed=(Stretch(first_ns=due, until_ns=due, count=1),), late=())


def test_a_week_of_minutes_is_one_stretch() -> None:
    (week,) = owed((Cron("* * * * *", "UTC"),), after_ns=NOW - 7 * DAY, grace_ns=0).missed
    assert (week.first_ns, week.count) == (parse_rfc3339("2026-11-13T11:31:00Z"), 10_080)


def test_a_fire_time_with_a_row_ends_a_stretch() -> None:
    covered = (
        (NOW - 7 * SECOND, NOW - 5 * SECOND),
        (NOW - 2 * SECOND, NOW - 2 * SECOND),
        (NOW + SECOND, NOW + SECOND),
    )
    found = owed((Every(SECOND),), after_ns=NOW - 10 * SECOND, grace_ns=3 * SECOND, covered=covered)
    assert [(one.first_ns, one.count) for one in found.missed] == [
        (NOW - 9 * SECOND, 2),
        (NOW - 4 * SECOND, 1),
    ]
    assert [(one.first_ns, one.count) for one in found.late] == [(NOW - 3 * SECOND, 1), (NOW - SECOND, 2)]


SCHEDULES: list[Schedule] = [
    (Every(SECOND),),
    (Every(7 * SECOND), Every(60 * SECOND)),
    (Cron("*/5 * * * * *", "UTC"), Every(3 * SECOND)),
    (Cron("0 12 1 1 *", "Europe/Berlin"),),
]


@given(
    st.sampled_from(SCHEDULES),
    st.integers(0, 400),
    st.integers(0, 400),
    st.lists(st.tuples(st.integers(-410, 10), st.integers(0, 50)), max_size=6),
)
def test_every_fire_time_without_a_row_is_in_exactly_one_stretch(
    schedule: Schedule, gone_s: int, grace_s: int, rows: list[tuple[int, int]]
) -> None:
    covered = tuple((NOW + first * SECOND, NOW + (first + length) * SECOND) for first, length in rows)
    after_ns = NOW - gone_s * SECOND
    found = owed(schedule, after_ns=after_ns, grace_ns=grace_s * SECOND, covered=covered)
    due = [
        at
        for at in between(schedule, after_ns, NOW)
        if not any(first <= at <= last for first, last in covered)
    ]
    stretched = [
        list(between(schedule, one.first_ns - 1, one.until_ns)) for one in (*found.missed, *found.late)
    ]
    assert [len(times) for times in stretched] == [one.count for one in (*found.missed, *found.late)]
    assert sorted(at for times in stretched for at in times) == due
    assert all(one.until_ns < NOW - grace_s * SECOND for one in found.missed)
    assert all(one.first_ns >= NOW - grace_s * SECOND for one in found.late)


@given(st.sampled_from(SCHEDULES), st.integers(0, 10_000_000), st.integers(0, 3))
def test_the_last_fire_time_of_a_span_is_found_without_a_walk(
    schedule: Schedule, gone_s: int, rest: int
) -> None:
    start_ns, end_ns = NOW - min(gone_s, 5_000) * SECOND - rest, NOW - rest
    assert last_between(schedule, start_ns, end_ns) == max(between(schedule, start_ns, end_ns), default=None)


@given(st.sampled_from(SCHEDULES), st.integers(0, 5_000), st.integers(0, 3), st.integers(1, 40))
def test_the_newest_fire_times_of_a_span_are_its_last_ones(
    schedule: Schedule, gone_s: int, rest: int, most: int
) -> None:
    start_ns, end_ns = NOW - gone_s * SECOND - rest, NOW - rest
    assert (
        newest_between(schedule, start_ns, end_ns, most) == list(between(schedule, start_ns, end_ns))[-most:]
    )


def test_the_last_fire_time_of_ten_years_is_found_at_once() -> None:
    daily = (Cron("* * 11 * * *", "UTC"), Every(10_000 * DAY))
    assert last_between(daily, NOW - 3_650 * DAY, NOW - 1) == NOW - SECOND
    assert last_between((Cron("0 0 29 2 *", "UTC"),), NOW - 3_650 * DAY, NOW) == parse_rfc3339(
        "2024-02-29T00:00:00Z"
    )


@given(
    st.sampled_from(SCHEDULES),
    st.integers(0, 400),
    st.integers(0, 100),
    st.integers(1, 120),
    st.lists(st.tuples(st.integers(-410, 10), st.integers(0, 50)), max_size=4),
    st.one_of(st.none(), st.integers(0, 400)),
)
def test_with_jitter_each_fire_time_is_judged_by_its_planned_start(
    schedule: Schedule,
    gone_s: int,
    back_s: int,
    jitter_s: int,
    rows: list[tuple[int, int]],
    runs_s: int | None,
) -> None:
    planned_at, after_ns = jittered("pay", jitter_s * SECOND), NOW - gone_s * SECOND
    covered = tuple((NOW + first * SECOND, NOW + (first + length) * SECOND) for first, length in rows)
    runs_from_ns = None if runs_s is None else NOW - runs_s * SECOND
    found = classify_overdue(
        schedule,
        after_ns=after_ns,
        now_ns=NOW,
        back_ns=back_s * SECOND,
        runs_from_ns=runs_from_ns,
        covered=covered,
        jitter_ns=jitter_s * SECOND,
        planned_at=planned_at,
    )
    expected: dict[str, list[int]] = {"missed": [], "late": [], "due": []}
    for at in between(schedule, after_ns, NOW):
        if not any(first <= at <= last for first, last in covered):
            too_late = planned_at(at) < NOW - back_s * SECOND or at < (runs_from_ns or 0)
            kind = "due" if planned_at(at) > NOW else "missed" if too_late else "late"
            expected[kind].append(at)
    for kind, times in expected.items():
        stretches: tuple[Stretch, ...] = getattr(found, kind)
        stood_for = [list(between(schedule, one.first_ns - 1, one.until_ns)) for one in stretches]
        assert [len(one) for one in stood_for] == [one.count for one in stretches]
        assert sorted(at for one in stood_for for at in one) == times
