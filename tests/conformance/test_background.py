"""Background runs as the daemon takes them, on each database."""

from scheduler.instants import SECOND
from scheduler.ledger import background, runs
from scheduler.ledger.engine import Ledger
from scheduler.model.background import Work

_NOW_NS = 1_800_000_000 * SECOND


def test_what_was_not_put_off_is_due_though_the_clock_of_who_handed_it_over_was_ahead(ledger: Ledger) -> None:
    ahead_ns = _NOW_NS + 3600 * SECOND
    at_once = runs.submit(ledger, Work(app="shop", ref="shop:look"), now_ns=ahead_ns)
    runs.submit(ledger, Work(app="shop", ref="shop:look", planned_at_ns=ahead_ns), now_ns=_NOW_NS)
    assert [run.occurrence for run in background.pending(ledger, "shop", now_ns=_NOW_NS, limit=9)] == [at_once.occurrence]
