"""Recovery: what was released is unknown, and a row that makes no sense costs itself alone."""

from pathlib import Path

from tests.support.ledgers import an_instance
from tests.support.new_ledgers import new_ledger
from tests.support.scheduling import definitions_of
from tests.support.values import a_due, a_job
from tminus.daemon.recovery import recover
from tminus.ledger import background_queue, claims, history, submissions
from tminus.ledger.tables import occurrences
from tminus.model.background import Submission
from tminus.model.job import CallTarget, FlaskTarget
from tminus.outcome import Outcome

T = 1_763_638_200_000_000_000


def test_an_attempt_that_the_ledger_does_not_take_keeps_no_daemon_from_starting(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    submission = Submission(app="shop", ref="shop:look")
    forged, last = (submissions.submit(ledger, submission, now_ns=T + number) for number in range(2))
    found = background_queue.find_due_runs(ledger, "shop", now_ns=T + 2, limit=2)
    background_queue.mark_started(ledger, found, instance=an_instance(ledger), now_ns=T + 2)
    with ledger.write() as connection:
        for number, attempts in ((found[0].number, 2**63 - 1), (found[1].number, 9)):
            row = occurrences.update().where(occurrences.c.id == number)
            connection.execute(row.values(attempts=attempts))
    recover(ledger, definitions_of(), since_ns=T + 3, now_ns=T + 3)
    statuses = (submissions.get_status(ledger, one.id) for one in (forged, last))
    assert [status.outcome for status in statuses if status] == [Outcome.UNKNOWN] * 2
    ledger.close()


def test_what_was_released_says_what_is_not_known_about_its_target(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    jobs = (
        a_job("request"),
        a_job("view", target=FlaskTarget(app="shop", url="/")),
        a_job("function", target=CallTarget(ref="shop:look")),
    )
    release = claims.claim(
        ledger,
        [a_due(job, fire_time_ns=T) for job in jobs],
        planned_at_ns=T,
        instance=an_instance(ledger),
        token="t",
    )
    claims.commit(ledger, release, withdrawn=[], now_ns=T)
    recover(ledger, definitions_of(*jobs), since_ns=T + 1, now_ns=T + 1)
    killed = "executor: tminus was killed between the release and the answer; "
    assert {one.id.job: (one.outcome, one.reason) for one in history.find(ledger)} == {
        "request": (Outcome.UNKNOWN, f"{killed}whether the request arrived is not known"),
        "view": (Outcome.UNKNOWN, f"{killed}how far it came is not known"),
        "function": (Outcome.UNKNOWN, f"{killed}how far it came is not known"),
    }
    ledger.close()
