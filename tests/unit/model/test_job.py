"""Properties of a job that follow from its definition."""

import dataclasses

import pytest

from tests.support.values import a_due, a_job, an_attempt
from tminus.model.chain import Failure, Link, StartJob
from tminus.model.job import HttpTarget, StatusRange
from tminus.outcome import Outcome


@pytest.mark.parametrize(
    ("method", "is_safe"),
    [
        ("GET", True),
        ("HEAD", True),
        ("OPTIONS", True),
        ("TRACE", True),
        ("POST", False),
        ("PUT", False),
        ("DELETE", False),
    ],
)
def test_methods_are_safe_as_rfc_9110_says(method: str, is_safe: bool) -> None:
    assert HttpTarget(url="http://host/", method=method).is_safe is is_safe


@pytest.mark.parametrize(("status", "is_in"), [(199, False), (200, True), (299, True), (300, False)])
def test_a_class_of_statuses_has_both_its_ends(status: int, is_in: bool) -> None:
    assert (status in StatusRange(200, 299)) is is_in


def test_statuses_are_shown_as_they_are_written() -> None:
    assert [str(StatusRange(200, 299)), str(StatusRange(204, 204))] == ["2xx", "204"]


def test_definitions_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        a_job().name = "another"  # type: ignore[misc]


def test_one_that_ends_unstarted_is_the_same_occurrence() -> None:
    due = a_due(a_job("pay"), fire_time_ns=5, planned_at_ns=7, run=1)
    decided = due.ends(Outcome.MISSED, "late", count=3, covers_until_ns=9)
    assert (decided.id, decided.planned_at_ns, decided.origin) == (due.id, due.planned_at_ns, due.origin)
    assert (decided.outcome, decided.reason, decided.count, decided.covers_until_ns) == (
        Outcome.MISSED,
        "late",
        3,
        9,
    )


@pytest.mark.parametrize(
    ("outcome", "reason", "kind"),
    [
        (Outcome.FAILED, "status: 503 instead of 2xx", "status"),
        (Outcome.FAILED, "connect, not sent: refused", "connect"),
        (Outcome.TIMED_OUT, "timeout: no response within 30 s", "timeout"),
        (Outcome.UNKNOWN, "executor: killed", "executor"),
    ],
)
def test_the_chain_hears_of_the_last_attempt_if_a_further_one_is_too_late(
    outcome: Outcome, reason: str, kind: str
) -> None:
    pay = a_job("pay", then=(Link(errback=StartJob("tell")),))
    tried = an_attempt(at_ns=7, outcome=outcome, reason=reason)
    chain = a_due(pay, fire_time_ns=5, previous=tried).ends(Outcome.MISSED, "late").chain
    assert chain is not None
    assert chain.value == Failure(
        outcome=outcome, kind=kind, message=f"{reason}; attempt 2 was not made: late"
    )


@pytest.mark.parametrize("outcome", [Outcome.SKIPPED, Outcome.CANCELLED])
def test_what_was_not_to_run_begins_no_chain(outcome: Outcome) -> None:
    pay = a_job("pay", then=(Link(errback=StartJob("tell")),))
    assert a_due(pay, fire_time_ns=5).ends(outcome, "why").chain is None
