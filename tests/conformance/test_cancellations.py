"""Cancellation: what waits ends, what may have been sent does not, and no commit starts what has ended."""

import pytest

from tests.conformance.test_retries import AGAIN_NS, refused
from tests.support.ledgers import T, an_instance, claim, commit, dues_of, let_go
from tests.support.values import an_ending
from tminus.errors import NotFound, NotPossible
from tminus.ledger import claims, history, notices, outcomes, requests
from tminus.ledger.engine import Ledger
from tminus.ledger.requests import RequestKind
from tminus.model.batch import DueOccurrence
from tminus.model.notification import OutcomeWatch
from tminus.model.occurrence import Occurrence
from tminus.operations import cancel as cancelling
from tminus.outcome import OccurrenceState, Outcome


def cancel(ledger: Ledger, due: DueOccurrence) -> None:
    body = cancelling.to_body(due.id)
    request = requests.add_request(ledger, RequestKind.CANCEL_OCCURRENCE, body, now_ns=T, by="ann@desk")
    requests.take(
        ledger,
        request,
        instance=an_instance(ledger),
        execute=lambda to: cancelling.accept(to, request, watch=ledger.watch, now_ns=T + 1).answer,
    )


def the(ledger: Ledger) -> Occurrence:
    """The only occurrence."""
    (one,) = history.find(ledger)
    return one


def assert_cancelled(ledger: Ledger) -> None:
    one = the(ledger)
    assert (one.state, one.outcome) == (OccurrenceState.FINISHED, Outcome.CANCELLED)
    assert (one.reason, one.finished_at_ns, one.next_attempt_ns) == ("cancelled by ann@desk", T + 1, None)


def test_a_queued_one_ends_and_is_not_claimed(ledger: Ledger) -> None:
    (pay,) = dues_of("pay", is_written=True)
    with ledger.write() as connection:
        assert claims.queue(connection, [pay])
    cancel(ledger, pay)
    assert_cancelled(ledger)
    assert claim(ledger, [pay]).claimed == frozenset()


def test_a_claimed_one_ends_and_is_not_released(ledger: Ledger) -> None:
    pay, pack = dues_of("pay", "pack")
    release = claim(ledger, [pay, pack])
    cancel(ledger, pay)
    assert commit(ledger, release) == {pack.id}
    (one,) = history.find_by_ids(ledger, [pay.id])
    assert (one.outcome, one.reason) == (Outcome.CANCELLED, "cancelled by ann@desk")


def test_one_between_two_attempts_ends_and_keeps_its_attempt(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    again = refused(ledger, pay)
    assert the(ledger).next_attempt_ns == AGAIN_NS
    cancel(ledger, pay)
    assert_cancelled(ledger)
    assert the(ledger).attempts == 1
    assert claim(ledger, [again]).claimed == frozenset()


def test_one_whose_next_attempt_is_claimed_ends_and_is_not_released(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    release = claim(ledger, [refused(ledger, pay)])
    cancel(ledger, pay)
    assert_cancelled(ledger)
    assert commit(ledger, release) == frozenset()


def test_a_released_one_has_no_outcome_until_it_has_stopped(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    cancel(ledger, pay)
    assert (the(ledger).state, the(ledger).outcome) == (OccurrenceState.RUNNING, None)


def test_one_that_runs_is_not_noted_as_ended_though_its_first_attempt_was_late(ledger: Ledger) -> None:
    ledger.watch = OutcomeWatch(start_within_ns=-1)
    (pay,) = let_go(ledger, "pay")
    commit(ledger, claim(ledger, [refused(ledger, pay)]))
    cancel(ledger, pay)
    assert the(ledger).outcome is None
    assert notices.read(ledger).noted == []


def test_one_that_is_over_keeps_its_outcome(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    outcomes.record(ledger, [an_ending(pay)])
    with pytest.raises(NotPossible, match=r"pay@2025-11-20T11:30:00Z is over: succeeded"):
        cancel(ledger, pay)
    assert the(ledger).outcome is Outcome.SUCCEEDED


def test_one_that_does_not_exist_is_not_found(ledger: Ledger) -> None:
    with pytest.raises(NotFound, match="no occurrence pay@2025-11-20T11:30:00Z"):
        cancel(ledger, *dues_of("pay"))
