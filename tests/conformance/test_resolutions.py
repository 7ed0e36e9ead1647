"""Resolutions: an operator says what became of an occurrence that is unknown or missed."""

import pytest

from tests.support.ledgers import T, an_instance, let_go
from tests.support.values import an_ending
from tminus.errors import NotPossible, UsageError
from tminus.ledger import history, outcomes, requests
from tminus.ledger.engine import Ledger
from tminus.ledger.requests import RequestKind
from tminus.model.occurrence import Occurrence, Resolution
from tminus.operations import resolve as resolving
from tminus.outcome import Outcome, Resolved


def resolve(ledger: Ledger, one: Occurrence, word: str, *, at_ns: int = T + 7, by: str = "ann@desk") -> None:
    body = {"occurrence": str(one.id), "resolved": word}
    request = requests.add_request(ledger, RequestKind.RESOLVE, body, now_ns=at_ns, by=by)
    requests.take(
        ledger, request, instance=an_instance(ledger), execute=lambda to: resolving.accept(to, request)
    )


def ended(ledger: Ledger, outcome: Outcome) -> Occurrence:
    (pay,) = let_go(ledger, "pay")
    outcomes.record(ledger, [an_ending(pay, outcome=outcome)])
    return the(ledger)


def the(ledger: Ledger) -> Occurrence:
    """The only occurrence."""
    (one,) = history.find(ledger)
    return one


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.MISSED])
def test_a_resolution_leaves_the_outcome_and_says_who_and_when(ledger: Ledger, outcome: Outcome) -> None:
    assert ended(ledger, outcome).as_json()["resolved"] is None
    resolve(ledger, the(ledger), "ran")
    one = the(ledger)
    assert (one.outcome, one.resolution) == (
        outcome,
        Resolution(resolved=Resolved.RAN, by="ann@desk", at_ns=T + 7),
    )
    assert one.as_json()["resolved"] == {
        "as": "ran",
        "by": "ann@desk",
        "at": "2025-11-20T11:30:00.000000007Z",
    }


def test_a_second_resolution_replaces_the_first(ledger: Ledger) -> None:
    one = ended(ledger, Outcome.UNKNOWN)
    resolve(ledger, one, "ran")
    resolve(ledger, one, "not_ran", at_ns=T + 9, by="bob@desk")
    assert the(ledger).resolution == Resolution(resolved=Resolved.NOT_RAN, by="bob@desk", at_ns=T + 9)


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED])
def test_any_other_outcome_needs_no_resolution(ledger: Ledger, outcome: Outcome) -> None:
    with pytest.raises(NotPossible, match=f"pay@2025-11-20T11:30:00Z is {outcome}"):
        resolve(ledger, ended(ledger, outcome), "ran")
    assert the(ledger).resolution is None


def test_another_word_is_refused(ledger: Ledger) -> None:
    with pytest.raises(UsageError, match="malformed"):
        resolve(ledger, ended(ledger, Outcome.UNKNOWN), "maybe")
