"""The queue of background runs, on each database."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from tminus.daemon.runs.code_waits import CodeWaits
from tminus.errors import TminusError, UsageError
from tminus.instants import SECOND
from tminus.ledger import background_queue, history, instances, submissions
from tminus.ledger.engine import Ledger
from tminus.model.background import Submission
from tminus.outcome import OccurrenceState, Outcome

_NOW_NS = 1_800_000_000 * SECOND


def submit(ledger: Ledger, *, app: str = "shop", ref: str = "shop:look") -> background_queue.QueuedRun:
    """Submit a run; return it as the queue has it."""
    receipt = submissions.submit(ledger, Submission(app=app, ref=ref), now_ns=_NOW_NS)
    return background_queue.load_runs(ledger, [receipt.occurrence])[receipt.occurrence]


def due(ledger: Ledger, app: str = "shop") -> list[int]:
    """Return the row numbers of the runs of an application that are due."""
    found = background_queue.find_due_runs(ledger, app, now_ns=_NOW_NS + SECOND, limit=99)
    return [run.number for run in found]


def test_a_run_without_delay_is_due_even_if_the_submitters_clock_was_ahead(ledger: Ledger) -> None:
    ahead_ns = _NOW_NS + 3600 * SECOND
    at_once = submissions.submit(ledger, Submission(app="shop", ref="shop:look"), now_ns=ahead_ns)
    submissions.submit(
        ledger, Submission(app="shop", ref="shop:look", planned_at_ns=ahead_ns), now_ns=_NOW_NS
    )
    assert [
        run.occurrence for run in background_queue.find_due_runs(ledger, "shop", now_ns=_NOW_NS, limit=9)
    ] == [at_once.occurrence]


@pytest.mark.parametrize("deaths", [["x", 1], [1.5, 0], [1, 2, 3], {"alone": 1}, 4])
def test_a_forged_count_of_deaths_makes_a_run_unreadable(ledger: Ledger, deaths: object) -> None:
    forged = Submission(app="shop", ref="shop:look", options={"_deaths": deaths})
    submissions.submit(ledger, forged, now_ns=_NOW_NS)
    (run,) = background_queue.find_due_runs(ledger, "shop", now_ns=_NOW_NS, limit=9, suspects=True)
    assert run.unreadable.startswith("the submission cannot be read: ")


def test_a_run_that_waits_for_newer_code_is_queued_with_the_reason_and_no_attempt(ledger: Ledger) -> None:
    instance = instances.register(ledger, kind="daemon", config_version="0", now_ns=_NOW_NS)
    waiting, other = submit(ledger), submit(ledger)
    background_queue.mark_started(ledger, [waiting], instance=instance, now_ns=_NOW_NS)
    background_queue.wait_for_code(ledger, waiting.number, f"no shop:look\0{'x' * 1000}")
    (row,) = history.find_by_ids(ledger, [waiting.occurrence])
    assert (row.state, row.outcome, row.attempts) == (OccurrenceState.QUEUED, None, 0)
    assert row.reason
    assert row.reason.startswith(r"no shop:look\x00xxx")
    assert len(row.reason) < 600
    assert due(ledger) == [other.number]
    assert background_queue.find_waiting_for_code(ledger) == {"shop": (1, row.reason)}


def test_runs_that_wait_for_newer_code_are_due_again_each_once_and_a_few_at_a_time(ledger: Ledger) -> None:
    waiting = [submit(ledger).number for _ in range(5)]
    elsewhere, never_waited = submit(ledger, app="pages").number, submit(ledger).number
    for number in (*waiting, elsewhere):
        background_queue.wait_for_code(ledger, number, "no code")
    assert background_queue.end_wait_for_code(ledger, "shop", after=0, limit=2) == waiting[1]
    assert due(ledger) == [*waiting[:2], never_waited]
    for number in waiting[:2]:
        background_queue.wait_for_code(ledger, number, "still no code")
    assert background_queue.end_wait_for_code(ledger, "shop", after=waiting[1], limit=9) == waiting[4]
    assert due(ledger) == [*waiting[2:], never_waited]
    assert background_queue.end_wait_for_code(ledger, "shop", after=waiting[4], limit=9) is None
    assert background_queue.find_waiting_for_code(ledger) == {
        "pages": (1, "no code"),
        "shop": (2, "still no code"),
    }


def test_a_run_that_was_cancelled_while_it_waited_for_newer_code_stays_cancelled(ledger: Ledger) -> None:
    run = submit(ledger)
    background_queue.wait_for_code(ledger, run.number, "no code")
    assert submissions.cancel(ledger, run.number, now_ns=_NOW_NS)
    background_queue.wait_for_code(ledger, run.number, "no code")
    assert background_queue.end_wait_for_code(ledger, "shop", after=0, limit=9) is None
    (row,) = history.find_by_ids(ledger, [run.occurrence])
    assert (row.outcome, row.reason) == (Outcome.CANCELLED, "cancelled before it began")
    assert (due(ledger), background_queue.find_waiting_for_code(ledger)) == ([], {})


def test_runs_of_code_that_is_not_loaded_wait_for_a_reload_and_are_then_tried_once(ledger: Ledger) -> None:
    waits, run = CodeWaits(ledger), submit(ledger)
    assert not waits.try_again("shop", limit=9), "there is none"
    waits.add(run, "module 'shop' has no 'look'")
    assert due(ledger) == []
    assert not waits.try_again("shop", limit=9), "nothing was reloaded"
    waits.reload()
    waits.take_reload(running=[])
    assert waits.try_again("shop", limit=9)
    assert due(ledger) == [run.number]
    waits.add(run, "module 'shop' has no 'look'")
    assert not waits.try_again("shop", limit=9), "once for each reload"
    assert background_queue.find_waiting_for_code(ledger) == {
        "shop": (1, "waits for newer code: module 'shop' has no 'look'")
    }


def test_a_run_that_the_earlier_code_did_not_have_is_tried_again_after_a_reload(ledger: Ledger) -> None:
    waits, run = CodeWaits(ledger), submit(ledger)
    waits.reload()
    waits.take_reload(running=[run.number])
    waits.add(run, "module 'shop' has no 'look'")
    assert due(ledger) == [run.number], "the earlier code has answered"
    waits.add(run, "module 'shop' has no 'look'")
    assert due(ledger) == [], "so has the new one"


def test_one_of_many_submits_with_the_same_id_counts(ledger: Ledger) -> None:
    work = Submission(app="shop", ref="shop:look", id="one-and-the-same")
    with ThreadPoolExecutor(4) as pool:
        receipts = set(pool.map(lambda n: submissions.submit(ledger, work, now_ns=_NOW_NS + n), range(8)))
    assert len(receipts) == 1
    assert len(due(ledger)) == 1
    for other in (replace(work, ref="shop:buy"), replace(work, app="yard")):
        with pytest.raises(UsageError, match="the run one-and-the-same calls shop:look of shop"):
            submissions.submit(ledger, other, now_ns=_NOW_NS)


def test_submits_in_the_same_nanosecond_take_the_next_one(ledger: Ledger) -> None:
    works = [Submission(app="shop", ref="shop:look", given={"args": [n], "kwargs": {}}) for n in range(3)]
    with ThreadPoolExecutor(4) as pool:
        receipts = [
            one
            for batch in pool.map(lambda _: submissions.submit_all(ledger, works, now_ns=_NOW_NS), range(4))
            for one in batch
        ]
    assert len({one.occurrence for one in receipts}) == 12
    found = background_queue.load_runs(ledger, [one.occurrence for one in receipts])
    assert [found[one.occurrence].work.given["args"] for one in receipts] == [[0], [1], [2]] * 4


def test_a_submit_among_the_nanoseconds_of_many_calls_takes_few_tries(ledger: Ledger) -> None:
    works = [Submission(app="shop", ref="shop:look")] * 1_000
    submissions.submit_all(ledger, works, now_ns=_NOW_NS)
    tries = []

    def note(*_: object) -> None:
        tries.append(1)

    sa.event.listen(sa.engine.Engine, "rollback", note)
    try:
        submissions.submit(ledger, works[0], now_ns=_NOW_NS + 1)
    finally:
        sa.event.remove(sa.engine.Engine, "rollback", note)
    assert len(tries) < 30


def test_of_many_calls_none_is_submitted_if_one_cannot_be(ledger: Ledger) -> None:
    works = [Submission(app="shop", ref="shop:look", given={"args": [text]}) for text in ("a", "b\ud800")]
    works[1] = replace(works[1], app="b\ud800")  # no database stores half a character
    with pytest.raises((TminusError, UnicodeError)):
        submissions.submit_all(ledger, works, now_ns=_NOW_NS)
    assert due(ledger) == []
