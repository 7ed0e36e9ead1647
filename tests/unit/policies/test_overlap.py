"""Overlap: a decision from how many run and wait, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.policies.overlap import Overlap, OverlapDecision, decide_overlap, room

counts = st.integers(min_value=0, max_value=10_000)
limits = st.integers(min_value=1, max_value=100)


@pytest.mark.parametrize(
    ("running", "max_instances", "starts"),
    [(0, 1, True), (1, 1, False), (1, 2, True), (2, 2, False), (7, 2, False)],
)
def test_at_its_limit_a_job_skips_the_new_one(running: int, max_instances: int, starts: bool) -> None:
    found = decide_overlap(Overlap.SKIP, running=running, waiting=0, max_instances=max_instances)
    assert found is (OverlapDecision.START if starts else OverlapDecision.SKIP)


@given(counts, counts, limits)
def test_overlap_allow_all_has_no_limit(running: int, waiting: int, max_instances: int) -> None:
    found = decide_overlap(Overlap.ALLOW_ALL, running=running, waiting=waiting, max_instances=max_instances)
    assert found is OverlapDecision.START


@given(counts, counts, limits)
def test_buffer_all_skips_none_and_lets_none_overtake(running: int, waiting: int, max_instances: int) -> None:
    found = decide_overlap(Overlap.BUFFER_ALL, running=running, waiting=waiting, max_instances=max_instances)
    assert found is (OverlapDecision.START if running + waiting < max_instances else OverlapDecision.WAIT)


@given(counts, counts, limits)
def test_buffer_one_lets_one_wait(running: int, waiting: int, max_instances: int) -> None:
    found = decide_overlap(Overlap.BUFFER_ONE, running=running, waiting=waiting, max_instances=max_instances)
    if running + waiting < max_instances:
        assert found is OverlapDecision.START
    else:
        assert found is (OverlapDecision.SKIP if waiting else OverlapDecision.WAIT)


@given(st.sampled_from(Overlap), counts, counts, limits)
def test_what_has_waited_starts_where_there_is_room_and_is_never_skipped(
    policy: Overlap, running: int, waiting: int, max_instances: int
) -> None:
    found = decide_overlap(
        policy, running=running, waiting=waiting, max_instances=max_instances, has_waited=True
    )
    has_room = room(running, max_instances=max_instances, policy=policy) > 0
    assert found is (OverlapDecision.START if has_room else OverlapDecision.WAIT)
