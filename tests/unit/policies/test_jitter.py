"""Jitter: the planned start of an occurrence, from its job and its fire time alone."""

import statistics

from hypothesis import given
from hypothesis import strategies as st

from tminus.instants import MS, SECOND
from tminus.policies.jitter import jittered

T = 1_800_000_000 * SECOND


@given(st.text(max_size=20), st.integers(0, 86_400_000), st.integers(0, 2**62))
def test_the_planned_start_is_within_the_jitter(job: str, jitter_ms: int, fire_time_ns: int) -> None:
    later_ns = jittered(job, jitter_ms * MS)(fire_time_ns) - fire_time_ns
    assert 0 <= later_ns < max(jitter_ms * MS, 1)
    assert later_ns % MS == 0


def test_it_is_the_same_in_each_process_and_version() -> None:
    assert [jittered("pay", 60 * SECOND)(T + hour * 3_600 * SECOND) - T for hour in range(2)] == [
        18_565_000_000,
        3_604_025_000_000,
    ]


def test_jobs_and_fire_times_are_spread_evenly() -> None:
    by_job = [jittered(f"job_{number}", 1_000 * SECOND)(T) - T for number in range(500)]
    by_time = [jittered("pay", 1_000 * SECOND)(T + n * SECOND) - T - n * SECOND for n in range(500)]
    for found in (by_job, by_time):
        assert 450 * SECOND < statistics.mean(found) < 550 * SECOND
        assert min(found) < 30 * SECOND < 970 * SECOND < max(found)
