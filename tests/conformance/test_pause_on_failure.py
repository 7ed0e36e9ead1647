"""Failures in a row are counted with the outcomes. The pause that is due is asked for in the same transaction."""

from collections.abc import Sequence

import pytest

from tests.support.ledgers import T, an_instance, claim, commit
from tests.support.scheduling import definitions_of
from tests.support.values import a_due, a_job, an_attempt, an_ending
from tminus.errors import LedgerError
from tminus.instants import SECOND
from tminus.ledger import failure_counts, outcomes, pauses, requests
from tminus.ledger.engine import Ledger
from tminus.ledger.requests import RequestKind, RequestRow
from tminus.model.batch import RetryRecord
from tminus.model.job import Every
from tminus.operations import pause as pausing
from tminus.operations import resume as resuming
from tminus.outcome import Origin, Outcome
from tminus.policies.pause import Pause, PauseKind

JOB = a_job("pay", schedule=(Every(SECOND),), pause_on_failure=3)
FILE = definitions_of(JOB, a_job("pack", schedule=(Every(SECOND),)))


@pytest.fixture
def counting(ledger: Ledger) -> Ledger:
    """A ledger in which three failures in a row pause the job `pay`."""
    ledger.failure_limits = FILE.failure_limits
    return ledger


def end(
    ledger: Ledger,
    *ends: Outcome,
    first_ns: int = T,
    job: str = "pay",
    origin: Origin = Origin.SCHEDULE,
) -> None:
    """Let an occurrence end with each of these outcomes, one after another."""
    for number, outcome in enumerate(ends):
        due = a_due(a_job(job), fire_time_ns=first_ns + number * SECOND, origin=origin)
        commit(ledger, claim(ledger, [due]))
        outcomes.record(ledger, [an_ending(due, outcome, reason=f"status: 50{number}")])


def asked(ledger: Ledger) -> Sequence[RequestRow]:
    return requests.pending(ledger)


def take(ledger: Ledger, request: RequestRow) -> None:
    """Do what the daemon's inbox does with a request to pause."""
    requests.take(
        ledger, request, instance=an_instance(ledger), execute=lambda to: pausing.accept(to, request, FILE)
    )


def resume(ledger: Ledger, job: str, *, now_ns: int) -> None:
    body = resuming.to_body((job,))
    request = requests.add_request(ledger, RequestKind.RESUME, body, now_ns=now_ns, by="bob@desk")
    requests.take(
        ledger, request, instance=an_instance(ledger), execute=lambda to: resuming.accept(to, request, FILE)
    )


def in_force(ledger: Ledger) -> dict[str, Pause]:
    with ledger.read() as connection:
        return dict(pauses.load(connection))


F, S, U = Outcome.FAILED, Outcome.SUCCEEDED, Outcome.UNKNOWN


def test_the_last_failure_in_a_row_asks_for_a_pause_with_the_reason(counting: Ledger) -> None:
    end(counting, F, Outcome.TIMED_OUT)
    assert asked(counting) == []
    end(counting, F, first_ns=T + 9 * SECOND)
    (request,) = asked(counting)
    assert (request.kind, request.by) == (RequestKind.PAUSE_ON_FAILURE, "tminus")
    take(counting, request)
    assert in_force(counting)["pay"] == Pause(
        kind=PauseKind.FAILURES,
        since_ns=request.created_ns,
        until_ns=None,
        reason="3 consecutive failures, the last: status: 500",
        by="tminus",
    )


def test_the_request_is_in_force_before_a_daemon_starts_anything(counting: Ledger) -> None:
    end(counting, F, F, F)
    (request,) = asked(counting)
    assert request.kind in requests.FIRST


@pytest.mark.parametrize(
    ("ends", "is_asked"),
    [
        pytest.param([F, F, S, F, F], False, id="a-success-in-between"),
        pytest.param([F, U, F, Outcome.CANCELLED, F], True, id="unknown-and-cancelled-change-nothing"),
        pytest.param([F, U, F, U], False, id="unknown-is-no-failure"),
    ],
)
def test_outcomes_in_a_row(counting: Ledger, ends: list[Outcome], is_asked: bool) -> None:
    end(counting, *ends)
    assert bool(asked(counting)) is is_asked


def test_failures_by_hand_do_not_count_and_a_success_by_hand_ends_the_row(counting: Ledger) -> None:
    end(counting, F, F)
    end(counting, F, F, first_ns=T + 10 * SECOND, origin=Origin.MANUAL)
    assert asked(counting) == []
    end(counting, S, first_ns=T + 20 * SECOND, origin=Origin.MANUAL)
    end(counting, F, F, first_ns=T + 30 * SECOND)
    assert asked(counting) == []


def test_attempts_of_one_occurrence_are_no_failures_in_a_row(counting: Ledger) -> None:
    due = a_due(JOB, fire_time_ns=T)
    commit(counting, claim(counting, [due]))
    failed = an_attempt(1, at_ns=T, outcome=F)
    again = RetryRecord(id=due.id, attempt=failed, due_ns=T + SECOND, executor=None)
    for _ in range(5):
        outcomes.record_retries(counting, [again])
    assert asked(counting) == []


def test_an_outcome_that_is_written_twice_counts_once(counting: Ledger) -> None:
    end(counting, F)
    due = a_due(JOB, fire_time_ns=T + 5 * SECOND)
    commit(counting, claim(counting, [due]))
    for _ in range(3):
        outcomes.record(counting, [an_ending(due, F)])
    assert asked(counting) == []


def test_occurrences_that_fail_before_they_start_count(counting: Ledger) -> None:
    new = [a_due(JOB, fire_time_ns=T + number * SECOND) for number in range(2)]
    outcomes.record_unstarted(counting, [due.ends(F, "definition, not sent") for due in new], now_ns=T)
    outcomes.record_unstarted(counting, [due.ends(F, "definition, not sent") for due in new], now_ns=T)
    assert asked(counting) == []
    claimed = a_due(JOB, fire_time_ns=T + 7 * SECOND)
    claim(counting, [claimed])
    outcomes.record_unstarted(counting, [claimed.ends(F, "definition, not sent")], now_ns=T)
    assert len(asked(counting)) == 1


def test_resume_counts_anew_and_leaves_the_trace_of_the_pause(counting: Ledger) -> None:
    end(counting, F, F, F)
    take(counting, asked(counting)[0])
    end(counting, F, first_ns=T + 10 * SECOND)  # it ran when the job was paused
    resume(counting, "pay", now_ns=T + 60 * SECOND)
    assert in_force(counting) == {}
    end(counting, F, F, first_ns=T + 70 * SECOND)
    assert asked(counting) == []
    end(counting, F, first_ns=T + 80 * SECOND)
    assert len(asked(counting)) == 1
    with counting.read() as connection:
        (trace,) = pauses.between(connection, since_ns=T, until_ns=T + 90 * SECOND)
    assert (trace.pause.kind, trace.ended_ns, trace.ended_by) == (
        PauseKind.FAILURES,
        T + 60 * SECOND,
        "bob@desk",
    )


def test_other_jobs_are_not_counted_and_forgotten_when_their_limit_is_gone(counting: Ledger) -> None:
    end(counting, F, F, F, F, job="pack")
    end(counting, F, F)
    assert asked(counting) == []
    with counting.write() as connection:
        failure_counts.keep_only(connection, ["pack"])
    end(counting, F, first_ns=T + 10 * SECOND)
    assert asked(counting) == []


def test_a_transaction_that_fails_neither_counts_nor_asks(
    counting: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(counting, F, F)
    due = a_due(JOB, fire_time_ns=T + 10 * SECOND)
    commit(counting, claim(counting, [due]))

    def raises(*_: object) -> None:
        raise LedgerError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("tminus.ledger.notices.add", raises)
        with pytest.raises(LedgerError):
            outcomes.record(counting, [an_ending(due, F)])
    assert asked(counting) == []
    outcomes.record(counting, [an_ending(due, F)])
    assert len(asked(counting)) == 1
