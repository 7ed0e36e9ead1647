"""Coalesce and catch-up: which of several overdue fire times run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.policies.catch_up import runs_back_ns
from tminus.policies.coalesce import Coalesce, choose

overdue = st.lists(st.integers(), unique=True).map(sorted)


def chosen(policy: Coalesce, fire_times: list[int], most: int) -> list[int]:
    first = min(fire_times, default=None)
    return list(choose(policy, most=most, first=lambda: first, newest=lambda limit: fire_times[-limit:]))


@given(st.sampled_from(Coalesce), overdue, st.integers(1, 50))
def test_at_least_one_runs_and_at_most_as_many_as_allowed(
    policy: Coalesce, fire_times: list[int], most: int
) -> None:
    runs = chosen(policy, fire_times, most)
    assert set(runs) <= set(fire_times)
    assert runs == sorted(runs)
    allowed = most if policy is Coalesce.ALL else 1
    assert len(runs) == min(allowed, len(fire_times))


@pytest.mark.parametrize(
    ("policy", "runs"), [(Coalesce.EARLIEST, [1]), (Coalesce.LATEST, [4]), (Coalesce.ALL, [3, 4])]
)
def test_which_ones_run_is_what_the_policy_is_called(policy: Coalesce, runs: list[int]) -> None:
    assert chosen(policy, [1, 2, 3, 4], 2) == runs


@given(st.integers(min_value=0), st.integers(min_value=0))
def test_a_window_shorter_than_the_grace_changes_nothing(grace_ns: int, window_ns: int) -> None:
    assert runs_back_ns(grace_ns=grace_ns, window_ns=window_ns) >= grace_ns
    assert runs_back_ns(grace_ns=grace_ns, window_ns=min(grace_ns, window_ns)) == grace_ns
