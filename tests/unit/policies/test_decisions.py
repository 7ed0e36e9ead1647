"""Misfire: a decision from what it is told, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from tminus.instants import SECOND
from tminus.policies.misfire import is_misfire, last_misfire_ns, latest_start_ns

instants = st.integers(min_value=-(2**62), max_value=2**62)
graces = st.integers(min_value=0, max_value=86_400 * SECOND)


@given(instants, graces)
def test_at_the_end_of_its_grace_an_occurrence_still_starts(planned_at_ns: int, grace_ns: int) -> None:
    latest_ns = latest_start_ns(planned_at_ns=planned_at_ns, grace_ns=grace_ns)
    assert latest_ns >= planned_at_ns
    assert not is_misfire(now_ns=latest_ns, latest_start_ns=latest_ns)
    assert is_misfire(now_ns=latest_ns + 1, latest_start_ns=latest_ns)


@given(instants, graces)
def test_the_last_misfire_is_the_last_fire_time_that_is_too_late(now_ns: int, grace_ns: int) -> None:
    last_ns = last_misfire_ns(now_ns=now_ns, grace_ns=grace_ns)
    for planned_at_ns in (last_ns, last_ns + 1):
        latest_ns = latest_start_ns(planned_at_ns=planned_at_ns, grace_ns=grace_ns)
        assert is_misfire(now_ns=now_ns, latest_start_ns=latest_ns) is (planned_at_ns == last_ns)
