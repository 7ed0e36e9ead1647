"""What `status` makes of a ledger."""

from scheduler.instants import SECOND
from scheduler.ledger import instances
from scheduler.ledger.engine import Ledger
from scheduler.ledger.lock import lock_of
from scheduler.operations.status import status
from tests.support.ledgers import T, claim, let_go
from tests.support.values import a_due, a_job

_DAY = 86_400 * SECOND


def test_an_occurrence_without_outcome_long_after_its_time_is_a_problem(ledger: Ledger) -> None:
    lock = lock_of(ledger)
    assert lock.acquire()
    try:
        claim(ledger, [a_due(a_job("claimed"), fire_time_ns=T, planned_at_ns=T)])
        let_go(ledger, "running")
        for later, problems in ((SECOND, ()), (2 * _DAY, ("2 occurrences without outcome past the time-out, such as claimed@",))):
            instances.register(ledger, kind="daemon", config_version="0", now_ns=T + later)
            found = status(ledger, lambda: None, now_ns=T + later)
            assert found.is_alive
            assert len(found.problems) == len(problems)
            assert all(one.startswith(start) for one, start in zip(found.problems, problems, strict=True))
            assert found.state == ("degraded" if problems else "running")
    finally:
        lock.release()
