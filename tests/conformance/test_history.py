"""Reads of the history: the newest first, filtered, and as written."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.ledgers import T, claim, dues_of, let_go, run_batch
from tests.support.values import a_due, a_job, an_attempt, an_ending
from tminus.instants import MS, SECOND
from tminus.ledger import chains, claims, history, outcomes, submissions, upkeep
from tminus.ledger.engine import Ledger, open_ledger
from tminus.model.background import Submission
from tminus.model.occurrence import Occurrence, OccurrenceId
from tminus.outcome import OccurrenceState, Origin, Outcome


def names(found: list[Occurrence]) -> list[str]:
    return [one.id.job for one in found]


def times(found: list[Occurrence]) -> list[int]:
    return [(one.planned_at_ns - T) // SECOND for one in found]


def three_batches(ledger: Ledger) -> None:
    for second, outcome in ((1, Outcome.SUCCEEDED), (3, Outcome.FAILED), (2, Outcome.SUCCEEDED)):
        run_batch(ledger, [0.5, 0.7], planned_at_ns=T + second * SECOND, outcome=outcome)


def test_an_occurrence_is_read_as_it_was_written(ledger: Ledger) -> None:
    due = a_due(
        a_job("pay"),
        fire_time_ns=T + 1,
        planned_at_ns=T + 7,
        params={"day": "ä", "n": [1, None]},
        origin=Origin.MANUAL,
    )
    claim(ledger, [due])
    assert history.find(ledger) == [
        Occurrence(
            id=due.id,
            planned_at_ns=T + 7,
            origin=Origin.MANUAL,
            state=OccurrenceState.CLAIMED,
            params={"day": "ä", "n": [1, None]},
            config_version=due.config_version,
        )
    ]


def test_the_newest_comes_first(ledger: Ledger) -> None:
    three_batches(ledger)
    assert times(history.find(ledger)) == [3, 3, 2, 2, 1, 1]


def test_no_more_are_read_than_asked_for(ledger: Ledger) -> None:
    three_batches(ledger)
    assert times(history.find(ledger, limit=3)) == [3, 3, 2]
    assert history.find(ledger, limit=0) == []


def test_pages_are_what_is_read_at_once(ledger: Ledger) -> None:
    three_batches(ledger)
    for size in (1, 2, 4, 5, 6, 7):
        pages = list(history.find_pages(ledger, page_size=size))
        assert [one for page in pages for one in page] == history.find(ledger)
        assert max(map(len, pages)) == min(size, 6)
    assert [len(page) for page in history.find_pages(ledger, page_size=2, limit=3)] == [2, 1]


def test_only_some_jobs_are_read_where_they_are_named(ledger: Ledger) -> None:
    three_batches(ledger)
    assert names(history.find(ledger, jobs=["job_1"])) == ["job_1"] * 3
    assert history.find(ledger, jobs=["job_9"]) == []


def test_only_what_was_planned_since_then_is_read(ledger: Ledger) -> None:
    three_batches(ledger)
    assert times(history.find(ledger, since_ns=T + 2 * SECOND)) == [3, 3, 2, 2], "that instant is in it"


def test_only_those_that_ended_so_are_read(ledger: Ledger) -> None:
    three_batches(ledger)
    let_go(ledger, "pay")
    assert times(history.find(ledger, outcome=Outcome.FAILED)) == [3, 3]


def test_all_conditions_hold_together(ledger: Ledger) -> None:
    three_batches(ledger)
    found = history.find(ledger, jobs=["job_0"], since_ns=T + 2 * SECOND, outcome=Outcome.SUCCEEDED, limit=5)
    assert (names(found), times(found)) == (["job_0"], [2])


def test_a_batch_is_all_that_has_the_same_t(ledger: Ledger) -> None:
    three_batches(ledger)
    assert names(history.find_batch(ledger, T + 2 * SECOND)) == ["job_0", "job_1"]
    assert history.find_batch(ledger, T) == []


def test_the_last_batch_is_one_of_which_something_has_started(ledger: Ledger) -> None:
    assert history.last_batch(ledger) is None
    three_batches(ledger)
    claim(ledger, dues_of("pay", fire_time_ns=T + 9 * SECOND))
    assert history.last_batch(ledger) == T + 3 * SECOND


def test_background_runs_belong_to_no_batch(ledger: Ledger) -> None:
    three_batches(ledger)
    work = Submission(app="shop", ref="shop:pay", planned_at_ns=T + 3 * SECOND)
    receipt = submissions.submit(ledger, work, now_ns=T + 9 * SECOND)
    (run,) = dues_of("shop.pay", fire_time_ns=receipt.occurrence.fire_time_ns)
    outcomes.record(
        ledger, [an_ending(run, attempts=(an_attempt(at_ns=T + 9 * SECOND),), is_background=True)]
    )
    assert history.last_batch(ledger) == T + 3 * SECOND
    assert names(history.find_batch(ledger, T + 3 * SECOND)) == ["job_0", "job_1"]


def test_what_is_not_there_is_left_out(ledger: Ledger) -> None:
    (pay,) = dues_of("pay")
    claim(ledger, [pay])
    assert [
        one.id for one in history.find_by_ids(ledger, [OccurrenceId(job="x", fire_time_ns=0), pay.id])
    ] == [pay.id]
    assert history.find_by_ids(ledger, []) == []


def test_the_newest_of_each_job_is_that_of_its_last_fire_time_and_run(ledger: Ledger) -> None:
    three_batches(ledger)
    again = a_due(a_job("job_0"), fire_time_ns=T + 3 * SECOND, run=1)
    claim(ledger, [again])
    found = history.last_of_each(ledger, ["job_0", "job_1", "job_9"])
    assert {job: one.id for job, one in found.items()} == {
        "job_0": again.id,
        "job_1": OccurrenceId(job="job_1", fire_time_ns=T + 3 * SECOND),
    }


def test_a_row_that_stands_for_several_counts_as_so_many(ledger: Ledger) -> None:
    three_batches(ledger)
    (pay,) = dues_of("pay", fire_time_ns=T + 2 * SECOND)
    outcomes.record_unstarted(ledger, [pay.ends(Outcome.MISSED, "late", count=40)], now_ns=T)
    counted = history.count_outcomes(ledger, since_ns=T + 2 * SECOND)
    assert counted == {Outcome.SUCCEEDED: 2, Outcome.FAILED: 2, Outcome.MISSED: 40}
    assert list(counted) == [outcome for outcome in Outcome if outcome in counted]


def test_running_is_what_was_let_go_and_has_not_ended(ledger: Ledger) -> None:
    claim(ledger, dues_of("claimed", fire_time_ns=T + MS))
    let_go(ledger, "running")
    run_batch(ledger, [0.5])
    assert {one.id.job: one.state for one in history.unfinished(ledger)} == {
        "claimed": OccurrenceState.CLAIMED,
        "running": OccurrenceState.RUNNING,
    }


def test_unfinished_can_leave_out_queued_and_background_runs(
    ledger: Ledger,
) -> None:
    claim(ledger, dues_of("claimed", fire_time_ns=T + MS))
    let_go(ledger, "running")
    with ledger.write() as connection:
        claims.queue(connection, dues_of("queued"))
    submissions.submit(ledger, Submission(app="shop", ref="shop:look"), now_ns=T)
    assert names(history.unfinished(ledger)) == ["claimed", "running", "queued", "shop.look"]
    assert names(history.unfinished(ledger, queued=False)) == ["claimed", "running"]
    assert names(history.unfinished(ledger, background=False)) == ["claimed", "running", "queued"]


@pytest.mark.parametrize("all_of_them", [True, False])
def test_what_is_unfinished_is_found_by_its_index(tmp_path: Path, all_of_them: bool) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db")  # PostgreSQL plans by the number of rows
    statements: list[tuple[str, Any]] = []

    def remember(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    with ledger.read() as connection:
        engine = connection.engine
    sa.event.listen(engine, "before_cursor_execute", remember)
    history.unfinished(ledger, queued=all_of_them, background=all_of_them)
    sa.event.remove(engine, "before_cursor_execute", remember)
    statement, parameters = next(one for one in statements if "occurrences" in one[0])  # not BEGIN
    with ledger.read() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
    ledger.close()
    assert any("occurrences_without_outcome" in row.detail for row in plan)


def test_the_text_of_a_configuration_is_kept_once_and_as_it_was(ledger: Ledger) -> None:
    for text in ('{"jobs":"ä"}', "another text under the same version"):
        upkeep.keep_config(ledger, "0123456789ab", text, now_ns=T)
    assert history.config_text(ledger, "0123456789ab") == '{"jobs":"ä"}'
    assert history.config_text(ledger, "nothing") is None


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("UPDATE occurrences SET origin = :value WHERE job = 'odd'", "prophecy"),
        ("UPDATE occurrences SET state = :value WHERE job = 'odd'", "asleep"),
        ("UPDATE occurrences SET outcome = :value WHERE job = 'odd'", "lucky"),
        ("UPDATE occurrences SET params = :value WHERE job = 'odd'", "[1, 2]"),
        ("UPDATE occurrences SET params = :value WHERE job = 'odd'", "[" * 100_000),
        (
            "INSERT INTO links (occurrence, position, link, state) SELECT id, 0, '', :value FROM occurrences WHERE job = 'odd'",
            "lost",
        ),
    ],
    ids=["origin", "state", "outcome", "params", "deep params", "link"],
)
def test_a_row_that_this_version_does_not_understand_is_left_out_and_counted_nowhere(
    ledger: Ledger, statement: str, value: str
) -> None:
    claim(ledger, [a_due(a_job(name), fire_time_ns=T, planned_at_ns=T) for name in ("even", "odd")])
    with ledger.write() as connection:
        connection.execute(sa.text(statement), {"value": value})
        row = connection.execute(sa.text("SELECT id FROM occurrences WHERE job = 'odd'")).scalar_one()
    reads: list[Callable[[Callable[[int], object]], Iterable[Occurrence]]] = [
        lambda left_out: history.find(ledger, unreadable=left_out),
        lambda left_out: [
            one for page in history.find_pages(ledger, page_size=1, unreadable=left_out) for one in page
        ],
        lambda left_out: history.find_batch(ledger, T, unreadable=left_out),
        lambda left_out: history.last_of_each(ledger, ["even", "odd"], unreadable=left_out).values(),
        lambda left_out: history.find_by_ids(
            ledger, [one.id for one in dues_of("even", "odd")], unreadable=left_out
        ),
    ]
    for read in reads:
        left_out: list[int] = []
        assert [one.id.job for one in read(left_out.append)] == ["even"]
        assert left_out == [row]
    with pytest.raises(ValueError, match=f"row {row} of occurrences is not valid"):
        history.find(ledger)


def test_a_chain_with_an_unknown_state_of_a_link_is_left_out_alone(ledger: Ledger) -> None:
    claim(ledger, [a_due(a_job(name), fire_time_ns=T, planned_at_ns=T) for name in ("even", "odd")])
    with ledger.write() as connection:
        connection.execute(
            sa.text("INSERT INTO chains SELECT id, :failure, '' FROM occurrences"), {"failure": False}
        )
        links = "INSERT INTO links (occurrence, position, link, state) SELECT id, 0, '', :state FROM occurrences WHERE job = :job"
        for job, state in (("even", "waiting"), ("odd", "lost")):
            connection.execute(sa.text(links), {"job": job, "state": state})
    left_out: list[int] = []
    assert [one.id.job for one in chains.find(ledger, unreadable=left_out.append)] == ["even"]
    assert len(left_out) == 1
