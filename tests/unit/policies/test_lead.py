"""The lead: enough for what arming has cost, and never longer than a server bears."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.instants import MS, SECOND
from tminus.policies.lead import COMMIT_NS, LONGEST_NS, SHORTEST_NS, ArmingCosts, Lead, commit_before

measured = st.tuples(st.integers(1, 20_000), st.integers(0, 60 * SECOND))


def learned(*batches: tuple[int, int]) -> Lead:
    lead = Lead()
    for jobs, claim_and_arm_ns in batches:
        lead.learn(jobs=jobs, claim_and_arm_ns=claim_and_arm_ns)
    return lead


@given(st.lists(measured, max_size=20), st.integers(1, 100_000))
def test_a_lead_is_within_its_bounds_whatever_was_measured(batches: list[tuple[int, int]], jobs: int) -> None:
    assert SHORTEST_NS <= learned(*batches).for_batch(jobs) <= LONGEST_NS


@given(st.lists(measured, max_size=20), st.integers(1, 50_000), st.integers(1, 50_000))
def test_more_jobs_never_get_a_shorter_lead(batches: list[tuple[int, int]], jobs: int, more: int) -> None:
    lead = learned(*batches)
    assert lead.for_batch(jobs) <= lead.for_batch(jobs + more)


@given(st.lists(measured, max_size=10), st.integers(1, 20_000), st.integers(0, 4 * SECOND))
def test_a_batch_like_the_last_one_has_the_time_that_it_needs(
    batches: list[tuple[int, int]], jobs: int, claim_and_arm_ns: int
) -> None:
    lead = learned(*batches, (jobs, claim_and_arm_ns))
    assert lead.for_batch(jobs) >= min(claim_and_arm_ns + COMMIT_NS, LONGEST_NS) - 1


@given(st.lists(measured, max_size=20), st.integers(1, 20_000), st.integers(0, SECOND))
def test_one_quick_batch_does_not_undo_what_slow_ones_taught(
    batches: list[tuple[int, int]], jobs: int, claim_and_arm_ns: int
) -> None:
    before, after = learned(*batches), learned(*batches, (jobs, claim_and_arm_ns))
    for size in (1, 100, 10_000):
        assert after.for_batch(size) >= 0.8 * before.for_batch(size) - MS


def test_quick_batches_shorten_it_in_the_end() -> None:
    assert learned((1, 4 * SECOND)).for_batch(1) > 8 * SECOND
    assert learned((1, 4 * SECOND), *[(1, MS)] * 50).for_batch(1) == SHORTEST_NS


def test_before_anything_is_measured_a_connection_is_taken_to_cost_two_milliseconds() -> None:
    assert Lead().for_batch(1) == SHORTEST_NS
    assert Lead().for_batch(1_000) == 4_250 * MS
    assert Lead().for_batch(100_000) == LONGEST_NS


def test_before_anything_is_measured_a_process_is_taken_to_cost_twenty_milliseconds() -> None:
    assert Lead().for_batch(100, forks=100) == 4_250 * MS
    assert Lead().for_batch(100, forks=50) == 2_450 * MS


def test_what_processes_cost_is_learned_apart_from_what_connections_cost() -> None:
    lead = Lead()
    lead.learn(jobs=100, forks=100, claim_and_arm_ns=4 * SECOND)
    assert lead.for_batch(100, forks=100) == 8_250 * MS
    assert lead.for_batch(1_000) == Lead().for_batch(1_000)
    for _ in range(50):
        lead.learn(jobs=100, forks=100, claim_and_arm_ns=SECOND)
    assert lead.for_batch(100, forks=100) == 2_250 * MS


@given(st.lists(measured, max_size=5), st.integers(1, 100_000), st.integers(0, 100))
def test_what_was_learned_is_known_after_a_restart(
    batches: list[tuple[int, int]], jobs: int, forks: int
) -> None:
    lead = learned(*batches)
    restarted = Lead(costs=ArmingCosts.of_text(lead.costs.as_text()))
    assert restarted.for_batch(jobs, min(forks, jobs)) == lead.for_batch(jobs, min(forks, jobs))


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "[]",
        "null",
        "{",
        '{"per_job_ns": "1"}',
        '{"per_job_ns": -1}',
        '{"of_a_later_version_ns": 1}',
        '{"slowest_ns": 1, "per_job_ns": 1}',  # of an earlier version
    ],
)
def test_costs_that_cannot_be_read_are_the_first_guess(text: str | None) -> None:
    assert ArmingCosts.of_text(text) == ArmingCosts()


@given(st.lists(measured, max_size=5), st.integers(1, 100_000))
def test_a_lead_that_is_given_is_never_changed(batches: list[tuple[int, int]], jobs: int) -> None:
    lead = Lead(fixed_ns=3 * SECOND)
    for size, claim_and_arm_ns in batches:
        lead.learn(jobs=size, claim_and_arm_ns=claim_and_arm_ns)
    assert lead.for_batch(jobs) == 3 * SECOND


@pytest.mark.parametrize(
    ("left_ns", "before_ns"),
    [(-SECOND, 0), (0, 0), (4, 1), (100 * MS, 25 * MS), (SECOND, 250 * MS), (10 * SECOND, 250 * MS)],
)
def test_a_near_t_is_committed_in_the_last_quarter_of_what_is_left(left_ns: int, before_ns: int) -> None:
    assert commit_before(left_ns) == before_ns
