"""Further attempts: each has a due time in the ledger, until its start is committed."""

from dataclasses import replace

from tests.support.ledgers import T, an_instance, claim, commit, dues_of, let_go
from tests.support.scheduling import definitions_of
from tests.support.values import a_job, an_attempt, an_ending
from tminus.daemon.recovery import recover
from tminus.instants import SECOND
from tminus.ledger import claims, history, outcomes
from tminus.ledger.engine import Ledger
from tminus.model.batch import DueOccurrence, ScheduledRetry
from tminus.model.job import Once
from tminus.model.occurrence import Occurrence
from tminus.outcome import OccurrenceState, Origin, Outcome
from tminus.policies.unknown import OnUnknown

#: When the second attempt is due.
AGAIN_NS = T + 5 * SECOND
SCHEDULED = a_job("pay", schedule=(Once(T),))
REFUSED = an_attempt(1, at_ns=T, outcome=Outcome.FAILED, reason="status: 503 instead of 2xx", http_status=503)


def the(ledger: Ledger) -> Occurrence:
    """The only occurrence."""
    (one,) = history.find(ledger)
    return one


def retry(due: DueOccurrence) -> DueOccurrence:
    """Return the second attempt of an occurrence, which is due at AGAIN_NS."""
    return replace(due, is_written=True, previous=REFUSED, retry_at_ns=AGAIN_NS)


def refused(ledger: Ledger, due: DueOccurrence) -> DueOccurrence:
    """Record that the first attempt has failed, and return the second one."""
    again = retry(due)
    failed = ScheduledRetry(attempt=REFUSED, due=again, executor="http-1@here")
    outcomes.record_retries(ledger, [failed.record])
    return again


def test_between_two_attempts_an_occurrence_is_running(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    again = refused(ledger, pay)
    for step in (lambda: None, lambda: claim(ledger, [again])):
        step()
        one = the(ledger)
        assert (one.state, one.outcome, one.attempts) == (OccurrenceState.RUNNING, None, 1)
        assert (one.next_attempt_ns, one.http_status, one.started_at_ns) == (AGAIN_NS, 503, T)
    assert history.find_attempts(ledger, pay.id) == [REFUSED]


def test_a_committed_attempt_has_no_due_time_any_more(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    again = refused(ledger, pay)
    assert commit(ledger, claim(ledger, [again])) == {pay.id}
    assert (the(ledger).state, the(ledger).next_attempt_ns) == (OccurrenceState.RUNNING, None)


def test_the_outcome_has_the_start_of_the_first_attempt_and_the_end_of_the_last(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    commit(ledger, claim(ledger, [refused(ledger, pay)]))
    second = an_attempt(2, at_ns=AGAIN_NS)
    outcomes.record(ledger, [an_ending(pay, attempts=(second,))])
    one = the(ledger)
    assert (one.outcome, one.attempts, one.http_status) == (Outcome.SUCCEEDED, 2, 200)
    assert (one.started_at_ns, one.duration_ns) == (T, second.duration_ns)
    assert history.find_attempts(ledger, pay.id) == [REFUSED, second]


def test_an_attempt_that_waits_is_claimed_once(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    again, instance = refused(ledger, pay), an_instance(ledger)
    commit(ledger, claim(ledger, [again], instance=instance))
    assert claim(ledger, [again], instance=instance).claimed == frozenset()


def test_a_retry_that_is_written_twice_is_there_once(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    refused(ledger, pay)
    refused(ledger, pay)
    assert history.find_attempts(ledger, pay.id) == [REFUSED]


def test_after_a_restart_an_attempt_is_made_when_it_is_due(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    definitions = definitions_of(SCHEDULED)
    again = refused(ledger, pay)
    claim(ledger, [again])  # the process that claimed it died before its commit
    for now_ns in (T + SECOND, AGAIN_NS + SECOND):
        (due,) = recover(ledger, definitions, since_ns=now_ns, now_ns=now_ns).due_occurrences
        assert (due.attempt, due.previous, due.release_at_ns) == (2, REFUSED, AGAIN_NS)
    assert commit(ledger, claim(ledger, [due])) == {pay.id}


def test_an_attempt_later_than_the_grace_leaves_the_outcome_of_the_one_before(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    refused(ledger, pay)
    late_ns = AGAIN_NS + pay.job.misfire_grace_ns + 1
    assert not recover(ledger, definitions_of(SCHEDULED), since_ns=late_ns, now_ns=late_ns).due_occurrences
    one = the(ledger)
    assert (one.outcome, one.attempts, one.next_attempt_ns) == (Outcome.FAILED, 1, None)
    assert one.reason is not None
    assert one.reason.startswith("status: 503 instead of 2xx; attempt 2 was not made: not started in time")


def test_an_attempt_of_a_deleted_job_is_not_made(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    refused(ledger, pay)
    assert not recover(ledger, definitions_of(), since_ns=T, now_ns=T + SECOND).due_occurrences
    assert (the(ledger).outcome, the(ledger).attempts) == (Outcome.CANCELLED, 1)


def test_killed_in_the_second_attempt_the_outcome_is_unknown(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    commit(ledger, claim(ledger, [refused(ledger, pay)]))
    recover(ledger, definitions_of(pay.job), since_ns=AGAIN_NS, now_ns=AGAIN_NS + SECOND)
    assert the(ledger).outcome is Outcome.UNKNOWN
    assert history.find_attempts(ledger, pay.id) == [REFUSED]


def test_on_unknown_retry_makes_another_attempt_after_a_crash_but_not_for_ever(ledger: Ledger) -> None:
    job = a_job("pay", on_unknown=OnUnknown.RETRY)
    due = dues_of("pay", origin=Origin.SCHEDULE)[0]
    commit(ledger, claim(ledger, [due]))
    now_ns = T
    for attempt in (2, 3):
        now_ns += 10 * SECOND
        (again,) = recover(ledger, definitions_of(job), since_ns=now_ns, now_ns=now_ns).due_occurrences
        assert (again.attempt, the(ledger).attempts) == (attempt, attempt - 1)
        commit(ledger, claim(ledger, [again]))
    now_ns += 10 * SECOND
    assert not recover(ledger, definitions_of(job), since_ns=now_ns, now_ns=now_ns).due_occurrences
    assert the(ledger).outcome is Outcome.UNKNOWN
    assert [one.outcome for one in history.find_attempts(ledger, due.id)] == [Outcome.UNKNOWN] * 2


def test_a_commit_of_first_attempts_touches_no_due_time(ledger: Ledger) -> None:
    release = claim(ledger, dues_of("pay", "pack"))
    assert not release.has_retries
    assert len(claims.commit(ledger, release, withdrawn=(), now_ns=T)) == 2


def test_an_attempt_that_is_put_back_is_due_again(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    again = refused(ledger, pay)
    release = claim(ledger, [again])
    commit(ledger, release)
    claims.put_back(ledger, release, [again])
    assert (the(ledger).state, the(ledger).next_attempt_ns) == (OccurrenceState.RUNNING, AGAIN_NS)
    assert commit(ledger, claim(ledger, [again])) == {pay.id}
