"""`retry`: a new occurrence of the same fire time, with the params of the original."""

import pytest

from tests.support.ledgers import T, an_instance, claim, commit, dues_of, let_go
from tests.support.values import a_job, an_ending
from tminus.errors import JobNotFound, NotPossible
from tminus.instants import SECOND
from tminus.ledger import history, outcomes, requests
from tminus.ledger.engine import Ledger
from tminus.ledger.requests import RequestKind
from tminus.model.batch import DueOccurrence
from tminus.model.definitions import Definitions
from tminus.model.occurrence import OccurrenceId
from tminus.operations import retry as retrying
from tminus.operations.run_now import AcceptedRun
from tminus.outcome import OccurrenceState, Origin, Outcome

JOB = a_job("pay", params={"day": "today", "new": 5})
ONE = Definitions(paths=("jobs.yaml",), version="v", text="", zone="UTC", jobs={"pay": JOB})


def retry(ledger: Ledger, identity: OccurrenceId) -> DueOccurrence:
    request = requests.add_request(ledger, RequestKind.RETRY, retrying.to_body(identity), now_ns=T)
    accepted = list[AcceptedRun]()

    def execute(connection: object) -> dict[str, object]:
        more = {"now_ns": T + 60 * SECOND, "lead_ns": lambda jobs: len(jobs) * SECOND}
        accepted.append(retrying.accept(connection, request, ONE, **more))  # type: ignore[arg-type]
        return dict(accepted[0].answer)

    requests.take(ledger, request, instance=an_instance(ledger), execute=execute)
    (due,) = accepted[0].due_occurrences
    return due


def failed(ledger: Ledger, name: str = "pay") -> OccurrenceId:
    due_occurrences = dues_of(name, params={"day": "2025-11-20", "gone": 1})
    commit(ledger, claim(ledger, due_occurrences))
    outcomes.record(ledger, [an_ending(due_occurrences[0], outcome=Outcome.FAILED)])
    return due_occurrences[0].id


def test_a_retry_has_the_fire_time_and_the_params_of_the_original(ledger: Ledger) -> None:
    original = failed(ledger)
    due = retry(ledger, original)
    (one,) = history.find_by_ids(ledger, [due.id])
    assert one.id == OccurrenceId(job="pay", fire_time_ns=T, run=1)
    assert (one.retry_of, one.origin, one.state) == (str(original), Origin.MANUAL, OccurrenceState.QUEUED)
    assert (one.planned_at_ns, one.params) == (T + 61 * SECOND, {"day": "2025-11-20", "new": 5})
    assert due.params == one.params
    assert claim(ledger, [due]).claimed == {due.id}


def test_each_retry_gets_the_next_free_run(ledger: Ledger) -> None:
    original = failed(ledger)
    assert [retry(ledger, original).id.run for _ in range(3)] == [1, 2, 3]


def test_one_that_is_not_over_is_not_run_again(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    with pytest.raises(NotPossible, match="pay@2025-11-20T11:30:00Z is not over: it is running"):
        retry(ledger, pay.id)


def test_one_whose_job_is_gone_is_not_run_again(ledger: Ledger) -> None:
    original = failed(ledger, "pack")
    with pytest.raises(JobNotFound):
        retry(ledger, original)
