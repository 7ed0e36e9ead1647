"""Misfire, coalesce, overlap: each a decision from what it is told, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.instants import SECOND
from scheduler.policies.misfire import is_misfire
from scheduler.policies.overlap import Overlap, may_start

instants = st.integers(min_value=-(2**62), max_value=2**62)
graces = st.integers(min_value=0, max_value=86_400 * SECOND)


@given(instants, graces)
def test_at_the_end_of_its_grace_an_occurrence_still_starts(planned_at_ns: int, grace_ns: int) -> None:
    assert not is_misfire(planned_at_ns=planned_at_ns, now_ns=planned_at_ns + grace_ns, grace_ns=grace_ns)
    assert is_misfire(planned_at_ns=planned_at_ns, now_ns=planned_at_ns + grace_ns + 1, grace_ns=grace_ns)


@given(instants, instants, graces, st.integers(min_value=0, max_value=86_400 * SECOND))
def test_what_is_too_late_stays_too_late(planned_at_ns: int, now_ns: int, grace_ns: int, later_ns: int) -> None:
    now = is_misfire(planned_at_ns=planned_at_ns, now_ns=now_ns, grace_ns=grace_ns)
    assert is_misfire(planned_at_ns=planned_at_ns, now_ns=now_ns + later_ns, grace_ns=grace_ns) >= now


@given(instants, graces, st.integers(min_value=0, max_value=86_400 * SECOND))
def test_what_is_early_is_never_too_late(planned_at_ns: int, grace_ns: int, early_ns: int) -> None:
    assert not is_misfire(planned_at_ns=planned_at_ns, now_ns=planned_at_ns - early_ns, grace_ns=grace_ns)


@pytest.mark.parametrize(
    ("running", "max_instances", "starts"),
    [(0, 1, True), (1, 1, False), (1, 2, True), (2, 2, False), (7, 2, False)],
)
def test_at_its_limit_a_job_skips_the_new_one(running: int, max_instances: int, starts: bool) -> None:
    assert may_start(running=running, max_instances=max_instances, policy=Overlap.SKIP) is starts


@given(st.integers(min_value=0, max_value=10_000), st.integers(min_value=1, max_value=100))
def test_where_all_are_allowed_there_is_no_limit(running: int, max_instances: int) -> None:
    assert may_start(running=running, max_instances=max_instances, policy=Overlap.ALLOW_ALL)
