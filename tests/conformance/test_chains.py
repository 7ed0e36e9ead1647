"""Chains in the ledger: they start with the outcome of the run, and each link is stored once."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from tests.support.ledgers import T, claim, commit, count, prune_all
from tests.support.scheduling import definitions_of
from tests.support.values import a_due, a_job, an_ending
from tminus.daemon.runs.left_behind import due_by
from tminus.instants import SECOND
from tminus.ledger import chains, history, outcomes
from tminus.ledger.causes import find_cause
from tminus.ledger.chains import LinkUpdate
from tminus.ledger.engine import Ledger
from tminus.ledger.tables import chains as open_chains
from tminus.ledger.tables import links, occurrences
from tminus.model.batch import DueOccurrence, OccurrenceResult
from tminus.model.chain import (
    Failure,
    Function,
    Link,
    LinkStatus,
    ReturnValue,
    StartJob,
    TargetResponse,
    Value,
    value_of,
)
from tminus.model.occurrence import OccurrenceId, RunCause
from tminus.outcome import LinkState, Origin, Outcome

THEN = (Link(callback=Function(ref="hooks:done")), Link(errback=StartJob("page")))
VALUES: list[Value] = [
    ReturnValue(text='{"a": [1, null, "ä\\u0000\\ud800"]}'),
    TargetResponse(status=200, headers=("Content-Type: text/plain",), text="fine"),
    Failure(outcome="failed", kind="status", message="500 instead of 2xx", traceback="frames"),
    ReturnValue(text="[" * 5_000 + "]" * 5_000),
]


def let_go(ledger: Ledger, name: str = "pay") -> DueOccurrence:
    """A run of a job with a chain."""
    due = a_due(a_job(name, then=THEN), fire_time_ns=T)
    commit(ledger, claim(ledger, [due]))
    return due


def ending(due: DueOccurrence, value: Value) -> OccurrenceResult:
    """Its end, with what flows into its chain."""
    return an_ending(due, chain=due.chain(value))


def begun(ledger: Ledger, value: Value = VALUES[0]) -> chains.OpenChain:
    """A chain that has begun."""
    outcomes.record(ledger, [ending(let_go(ledger), value)])
    (found,) = chains.find(ledger)
    return found


def runs(ledger: Ledger) -> list[LinkStatus]:
    """The links of the one occurrence with a chain."""
    (found,) = history.find(ledger, jobs=["pay"])
    return list(found.chain)


@pytest.mark.parametrize("value", VALUES)
def test_it_begins_with_the_outcome_and_keeps_what_flows(ledger: Ledger, value: Value) -> None:
    found = begun(ledger, value)
    assert (found.states, found.failure) == (
        (LinkState.WAITING, LinkState.WAITING),
        isinstance(value, Failure),
    )
    assert chains.next_inputs(ledger, [found.occurrence]) == {found.occurrence: value.as_text()}
    assert [run.link for run in runs(ledger)] == ["callback hooks:done", "errback run page"]


def test_a_second_outcome_begins_no_second_chain(ledger: Ledger) -> None:
    due = let_go(ledger)
    outcomes.record(ledger, [ending(due, VALUES[0])])
    outcomes.record(ledger, [ending(due, VALUES[2])])
    (found,) = chains.find(ledger)
    assert not found.failure
    assert count(ledger, links) == 2


@pytest.mark.parametrize("is_written", [False, True])
def test_what_is_missed_begins_its_chain_in_the_same_transaction(ledger: Ledger, *, is_written: bool) -> None:
    due = a_due(a_job(then=THEN), fire_time_ns=T)
    if is_written:
        claim(ledger, [due])
    outcomes.record_unstarted(
        ledger,
        [due.ends(Outcome.MISSED, "too late"), a_due(fire_time_ns=T + 1).ends(Outcome.MISSED, "x")],
        now_ns=T,
    )
    outcomes.record_unstarted(ledger, [due.ends(Outcome.MISSED, "again")], now_ns=T)
    (found,) = chains.find(ledger)
    assert value_of(chains.next_inputs(ledger, [found.occurrence])[found.occurrence]) == Failure(
        outcome="missed", kind="missed", message="too late"
    )


def test_what_is_skipped_or_cancelled_was_no_run_and_begins_none(ledger: Ledger) -> None:
    due = a_due(a_job(then=THEN), fire_time_ns=T)
    outcomes.record_unstarted(ledger, [due.ends(Outcome.SKIPPED, "overlap")], now_ns=T)
    assert chains.find(ledger) == []


def test_of_a_link_its_end_is_kept_with_what_it_gave(ledger: Ledger) -> None:
    found = begun(ledger)
    step = LinkUpdate(occurrence=found.occurrence, position=0, state=LinkState.RUNNING, at_ns=T)
    chains.advance(ledger, [step], ended=[])
    failure = Failure(outcome="failed", kind="exception", message="boom")
    step = LinkUpdate(
        occurrence=found.occurrence,
        position=0,
        state=LinkState.FAILED,
        at_ns=T + 5,
        error="boom",
        output=b"said",
        value=failure,
    )
    chains.advance(ledger, [step], ended=[])
    assert runs(ledger)[0] == LinkStatus(
        link="callback hooks:done",
        state=LinkState.FAILED,
        error="boom",
        started_at_ns=T,
        finished_at_ns=T + 5,
        output=b"said",
    )
    (now,) = chains.find(ledger)
    assert (now.states, now.failure) == ((LinkState.FAILED, LinkState.WAITING), True)


def test_a_link_that_has_ended_stays_as_it_is_and_starts_its_job_once(ledger: Ledger) -> None:
    found = begun(ledger)
    page = a_due(a_job("page"), fire_time_ns=T + 7, origin=Origin.CHAIN, is_written=True)
    step = LinkUpdate(
        occurrence=found.occurrence, position=1, state=LinkState.SUCCEEDED, at_ns=T, starts=page
    )
    for _ in range(2):  # a commit that raised, and was durable
        assert [due.id for due in chains.advance(ledger, [step], ended=[])] == [page.id]
    (started,) = history.find(ledger, jobs=["page"])
    assert (started.id, started.origin, started.state.value) == (page.id, Origin.CHAIN, "queued")


def test_a_started_job_knows_its_cause_also_after_a_restart(ledger: Ledger) -> None:
    due = let_go(ledger)
    outcomes.record(ledger, [replace(ending(due, VALUES[2]), outcome=Outcome.FAILED, reason="status: 500")])
    (found,) = chains.find(ledger)
    page = a_due(a_job("page"), fire_time_ns=T + 7, origin=Origin.CHAIN, is_written=True)
    step = LinkUpdate(
        occurrence=found.occurrence, position=1, state=LinkState.SUCCEEDED, at_ns=T, starts=page
    )
    cause = RunCause(id=due.id, outcome=Outcome.FAILED, reason="status: 500")
    assert [one.cause for one in chains.advance(ledger, [step], ended=[found.occurrence])] == [cause]
    (started,) = history.find(ledger, jobs=["page"])
    left = due_by(definitions_of(page.job), started)
    assert left is not None
    assert (started.cause, left.cause) == (cause, cause)
    assert started.as_json()["cause"] == str(due.id)
    run_again(ledger)
    prune_all(ledger, before_ns=T + 1)
    (started,) = history.find(ledger, jobs=["page"])
    assert started.cause == RunCause(id=due.id)


def test_a_cause_that_is_no_occurrence_leaves_its_row_out(ledger: Ledger) -> None:
    claim(ledger, [a_due(fire_time_ns=T), a_due(fire_time_ns=T + 1)])
    with ledger.write() as connection:
        is_first = occurrences.c.fire_time_ns == T
        connection.execute(occurrences.update().where(is_first).values(cause="nonsense"))
    left_out: list[int] = []
    assert len(history.find(ledger, unreadable=left_out.append)) == len(left_out) == 1


def test_a_cause_whose_row_is_not_valid_costs_only_its_own_row(ledger: Ledger) -> None:
    first, second = a_due(fire_time_ns=T), a_due(fire_time_ns=T + 1)
    claim(ledger, [first, second])
    with ledger.write() as connection:
        is_first = occurrences.c.fire_time_ns == T
        connection.execute(occurrences.update().where(is_first).values(outcome="nonsense"))
        connection.execute(occurrences.update().where(~is_first).values(cause=str(first.id)))
    left_out: list[int] = []
    (found,) = history.find(ledger, unreadable=left_out.append)
    assert (found.id, found.cause, len(left_out)) == (second.id, RunCause(id=first.id), 1)
    with ledger.read() as connection:
        number = connection.scalar(sa.select(occurrences.c.id).where(is_first))
        assert number is not None
        assert find_cause(connection, number) == RunCause(id=first.id)


def test_two_starts_of_a_job_in_one_nanosecond_are_two_occurrences(ledger: Ledger) -> None:
    outcomes.record(ledger, [ending(let_go(ledger, name), VALUES[0]) for name in ("pay", "sync")])
    page = a_due(a_job("page"), fire_time_ns=T + 7, origin=Origin.CHAIN, is_written=True)
    steps = [
        LinkUpdate(occurrence=one.occurrence, position=1, state=LinkState.SUCCEEDED, at_ns=T, starts=page)
        for one in chains.find(ledger)
    ]
    started = chains.advance(ledger, steps, ended=[])
    assert [due.id for due in started] == [page.id, OccurrenceId(job="page", fire_time_ns=T + 8)]
    assert {one.id for one in history.find(ledger, jobs=["page"])} == {due.id for due in started}


def test_what_flowed_is_let_go_when_the_chain_ends_and_the_links_stay(ledger: Ledger) -> None:
    found = begun(ledger)
    chains.advance(ledger, [], ended=[found.occurrence])
    assert chains.find(ledger) == []
    assert count(ledger, open_chains) == 0
    assert len(runs(ledger)) == 2


@pytest.mark.parametrize("last", [Failure(outcome="failed", kind="exception", message="boom"), VALUES[0]])
def test_whether_a_failure_flowed_out_of_a_chain_is_kept_at_its_end(ledger: Ledger, last: Value) -> None:
    found = begun(ledger)
    step = LinkUpdate(occurrence=found.occurrence, position=1, state=LinkState.SUCCEEDED, at_ns=T, value=last)
    chains.advance(ledger, [step], ended=[])
    assert [one.chain_failure for one in history.find(ledger)] == [None]
    for _ in range(2):  # a commit that raised, and was durable
        chains.advance(ledger, [], ended=[found.occurrence])
        assert [one.chain_failure for one in history.find(ledger)] == [isinstance(last, Failure)]


def test_old_history_goes_with_its_links(ledger: Ledger) -> None:
    found = begun(ledger)
    prune_all(ledger, before_ns=T + 1)
    assert (count(ledger, links), count(ledger, open_chains)) == (2, 1)  # it is still to go on
    chains.advance(ledger, [], ended=[found.occurrence])
    run_again(ledger)
    prune_all(ledger, before_ns=T + 1)
    assert (count(ledger, links), count(ledger, open_chains)) == (0, 0)


def run_again(ledger: Ledger) -> None:
    """Run the job once more, so that its earlier run is not the last one."""
    due = a_due(fire_time_ns=T + SECOND)
    commit(ledger, claim(ledger, [due]))
    outcomes.record(ledger, [an_ending(due)])


def test_the_chains_of_some_occurrences_are_found_among_many(ledger: Ledger) -> None:
    due_occurrences = [let_go(ledger, f"job_{number}") for number in range(5)]
    outcomes.record(ledger, [ending(due, VALUES[0]) for due in due_occurrences])
    assert [one.id for one in chains.find(ledger, [due_occurrences[3].id, due_occurrences[1].id])] == [
        due_occurrences[1].id,
        due_occurrences[3].id,
    ]
    assert chains.find(ledger, []) == []
