"""Recovery: a row that makes no sense costs itself alone."""

from pathlib import Path

from tests.support.ledgers import an_instance
from tests.support.new_ledgers import new_ledger
from tests.support.scheduling import definitions_of
from tminus.daemon.recovery import recover
from tminus.ledger import background_queue, submissions
from tminus.ledger.tables import occurrences
from tminus.model.background import Submission
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
