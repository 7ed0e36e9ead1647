"""When failures in a row pause a job, against a count of the last outcomes by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.outcome import Outcome
from tminus.policies.pause_on_failure import count_failures, is_pause_due

FAILURES = (Outcome.FAILED, Outcome.TIMED_OUT)
#: The outcome of an occurrence, and whether the schedule started it.
ENDED = st.tuples(st.sampled_from(Outcome), st.booleans())


def count(ended: list[tuple[Outcome, bool]]) -> int:
    failures = 0
    for outcome, is_by_schedule in ended:
        failures = count_failures(failures, outcome, is_by_schedule=is_by_schedule)
    return failures


@given(ended=st.lists(ENDED))
def test_what_counts_are_the_failures_by_schedule_since_the_last_success(
    ended: list[tuple[Outcome, bool]],
) -> None:
    outcomes = [outcome for outcome, _ in ended]
    last = len(outcomes) - outcomes[::-1].index(Outcome.SUCCEEDED) if Outcome.SUCCEEDED in outcomes else 0
    assert count(ended) == sum(outcome in FAILURES and by_schedule for outcome, by_schedule in ended[last:])


@given(ended=st.lists(ENDED), is_by_schedule=st.booleans())
def test_a_success_ends_the_row_whoever_started_the_run(
    ended: list[tuple[Outcome, bool]], is_by_schedule: bool
) -> None:
    assert count([*ended, (Outcome.SUCCEEDED, is_by_schedule)]) == 0


@given(before=st.integers(0, 1000))
@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.MISSED, Outcome.SKIPPED, Outcome.CANCELLED])
def test_what_did_not_run_or_is_unknown_changes_nothing(before: int, outcome: Outcome) -> None:
    assert count_failures(before, outcome, is_by_schedule=True) == before


@given(failures=st.integers(0, 1000), limit=st.integers(1, 1000))
def test_the_pause_is_due_from_the_limit_on(failures: int, limit: int) -> None:
    assert is_pause_due(failures, limit=limit) is (failures >= limit)
