"""
What an earlier process has left in the ledger starts only what the configuration in force declares, whoever
wrote the rows.
"""

import json
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.ledgers import T, an_instance, claim, dues_of, let_go
from tests.support.scheduling import definitions_of
from tests.support.values import a_due, a_job, an_ending
from tminus.daemon.batches import overdue_occurrences
from tminus.daemon.recovery import recover
from tminus.daemon.runs.left_behind import runs_by_id as left_behind
from tminus.instants import SECOND
from tminus.ledger import background_queue, chains, claims, history, outcomes, submissions, upkeep
from tminus.ledger.engine import Ledger
from tminus.ledger.tables import occurrences
from tminus.ledger.tables import runs as runs_table
from tminus.model.background import Submission
from tminus.model.batch import DueOccurrence
from tminus.model.chain import Function, Link, ReturnValue
from tminus.model.definitions import Definitions
from tminus.model.job import Every
from tminus.model.occurrence import Occurrence, OccurrenceId
from tminus.outcome import Origin, Outcome

PLANTED = "bad0bad0bad0"
NOTE = Link(callback=Function(ref="hooks:note"))
OTHER = Link(callback=Function(ref="os:system", kwargs={"command": "id"}))


def plant(ledger: Ledger, *names: str) -> None:
    """The text of a version in which these jobs do something else."""
    evil = {
        "schedule": "manual",
        "call": {"ref": "os:system", "args": ["id"]},
        "then": [{"both": "os:system"}],
    }
    text = json.dumps({"version": 1, "timezone": "UTC", "jobs": dict.fromkeys(names, evil)})
    upkeep.keep_config(ledger, PLANTED, text, now_ns=T)


def queue(ledger: Ledger, *due_occurrences: DueOccurrence) -> None:
    with ledger.write() as connection:
        assert claims.queue(connection, due_occurrences)


def recovered(ledger: Ledger, definitions: Definitions) -> Sequence[DueOccurrence]:
    """What runs after a start."""
    return recover(ledger, definitions, since_ns=T, now_ns=T).due_occurrences


def rows(ledger: Ledger) -> dict[str, Occurrence]:
    """The occurrences, by their jobs."""
    return {one.id.job: one for one in history.find(ledger)}


def set_row(ledger: Ledger, identity: OccurrenceId, **values: Any) -> None:
    """Whatever a foreign program may write."""
    with ledger.write() as connection:
        connection.execute(occurrences.update().where(occurrences.c.job == identity.job).values(**values))


def test_an_occurrence_runs_by_the_definition_in_force_and_its_row_says_so(ledger: Ledger) -> None:
    plant(ledger, "queued", "claimed")
    queue(ledger, a_due(a_job("queued"), fire_time_ns=T, origin=Origin.MANUAL, config_version=PLANTED))
    claim(ledger, dues_of("claimed", config_version=PLANTED))
    definitions = definitions_of(a_job("queued"), a_job("claimed", schedule=(Every(SECOND),)))
    assert {due.id.job: due.job for due in recovered(ledger, definitions)} == definitions.jobs
    assert {one.config_version for one in rows(ledger).values()} == {definitions.version}


@pytest.mark.parametrize(
    ("definitions", "reason"),
    [
        (definitions_of(), "the job was deleted from the jobs file"),
        (definitions_of(a_job()), "the job has no schedule any more"),
    ],
)
@pytest.mark.parametrize("later_ns", [0, 60 * SECOND])
def test_what_no_job_in_force_declares_is_cancelled_with_the_reason(
    ledger: Ledger, definitions: Definitions, reason: str, later_ns: int
) -> None:
    plant(ledger, "pay")
    claim(ledger, dues_of("pay", fire_time_ns=T + later_ns, config_version=PLANTED))
    assert recovered(ledger, definitions) == []
    assert (rows(ledger)["pay"].outcome, rows(ledger)["pay"].reason) == (Outcome.CANCELLED, reason)


def test_params_of_a_row_count_for_manual_runs_if_the_job_declares_them(
    ledger: Ledger,
) -> None:
    given: dict[str, Any] = {"params": {"day": "monday", "more": "${file:/etc/shadow}"}}
    queue(ledger, a_due(a_job("by_hand"), fire_time_ns=T, origin=Origin.MANUAL, **given))
    queue(ledger, a_due(a_job("by_chain"), fire_time_ns=T, origin=Origin.CHAIN, **given))
    jobs = [a_job(name, params={"day": "today", "hour": 11}) for name in ("by_hand", "by_chain")]
    params = {due.id.job: due.params for due in recovered(ledger, definitions_of(*jobs))}
    assert params == {"by_hand": {"day": "monday", "hour": 11}, "by_chain": {"day": "today", "hour": 11}}


@pytest.mark.parametrize(
    ("then", "goes_on"), [((NOTE,), True), ((OTHER,), False), ((NOTE, NOTE), False), ((), False)]
)
def test_a_chain_goes_on_if_the_job_in_force_has_its_links(
    ledger: Ledger, then: tuple[Link, ...], goes_on: bool
) -> None:
    plant(ledger, "pay")
    due = a_due(a_job(then=(NOTE,)), fire_time_ns=T, config_version=PLANTED)
    claim(ledger, [due])
    outcomes.record(ledger, [an_ending(due, chain=due.chain(ReturnValue(text="1")))])
    (found,) = chains.find(ledger)
    follows = left_behind(ledger, definitions_of(a_job(then=then)), [found.id])[found.id]
    assert follows.then == then
    assert found.has(follows.then) is goes_on


def test_the_chain_of_a_released_occurrence_is_that_of_the_configuration_in_force(
    ledger: Ledger,
) -> None:
    plant(ledger, "pay")
    (due,) = let_go(ledger, "pay")
    set_row(ledger, due.id, config_version=PLANTED)
    recovered(ledger, definitions_of(a_job(then=(NOTE,))))
    assert [link.link for link in rows(ledger)["pay"].chain] == ["callback hooks:note"]


@pytest.mark.parametrize(
    "broken", [{"state": "odd"}, {"origin": "odd"}, {"params": "{"}, {"params": "[]", "origin": "manual"}]
)
def test_a_row_that_makes_no_sense_costs_no_other_one(ledger: Ledger, broken: dict[str, str]) -> None:
    for name in ("first", "odd", "last"):
        claim(ledger, dues_of(name, origin=Origin.MANUAL))
    set_row(ledger, dues_of("odd")[0].id, **broken)
    jobs = [a_job(name, params={"day": "today"}) for name in ("first", "odd", "last")]
    assert [due.id.job for due in recovered(ledger, definitions_of(*jobs))] == ["first", "last"]


def test_a_lost_background_run_that_makes_no_sense_fails_alone(
    ledger: Ledger,
) -> None:
    given: dict[str, Any] = {"args": [], "kwargs": {}}
    accepted = [
        submissions.submit(ledger, Submission(app="shop", ref="shop:look", options={}, given=given), now_ns=T)
        for _ in range(2)
    ]
    with ledger.write() as connection:
        connection.execute(
            runs_table.update()
            .where(runs_table.c.id == accepted[0].id)
            .values(options='{"timeout_ns": "odd"}')
        )
        connection.execute(occurrences.update().values(attempts=9))
    background_queue.mark_started(
        ledger,
        background_queue.find_due_runs(ledger, "shop", now_ns=T, limit=9),
        instance=an_instance(ledger),
        now_ns=T,
    )
    claim(ledger, dues_of("pay", origin=Origin.MANUAL))
    assert [due.id.job for due in recovered(ledger, definitions_of(a_job()))] == ["pay"]
    assert rows(ledger)["shop.look"].outcome is Outcome.UNKNOWN
    assert history.unfinished(ledger)[0].id.job == "pay"


@pytest.mark.parametrize("victim", ["first", "odd", "last"])
def test_a_job_that_breaks_while_it_is_recovered_costs_no_other_one(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    definitions = definitions_of(
        *(a_job(name, schedule=(Every(SECOND),)) for name in ("first", "odd", "last"))
    )
    recover(ledger, definitions, since_ns=T - 5 * SECOND, now_ns=T - 5 * SECOND)
    claim(ledger, dues_of(victim, fire_time_ns=T - 2 * SECOND))
    original: Any = vars(overdue_occurrences)["classify_overdue"]

    def arrears(schedule: Any, **more: Any) -> Any:
        if schedule is definitions.jobs[victim].schedule:
            raise RuntimeError("injected")
        return original(schedule, **more)

    monkeypatch.setattr(overdue_occurrences, "classify_overdue", arrears)
    fire_times = {due.id.job: due.id.fire_time_ns for due in recovered(ledger, definitions)}
    assert fire_times == {"first": T, "odd": T, "last": T} | {victim: T - 2 * SECOND}


def test_a_decision_that_the_ledger_does_not_take_costs_no_other_one(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(ledger, dues_of("first", "odd", "last"))
    original: Any = vars(outcomes)["result_columns"]

    def ending(decided: Any, now_ns: int) -> Any:
        return original(decided, now_ns) | ({"count": 1 << 80} if decided.id.job == "odd" else {})

    monkeypatch.setattr(outcomes, "result_columns", ending)
    monkeypatch.setattr("tminus.ledger.rows.result_columns", ending)
    recovered(ledger, definitions_of())
    assert {name: one.outcome for name, one in rows(ledger).items()} == {
        "first": Outcome.CANCELLED,
        "odd": None,
        "last": Outcome.CANCELLED,
    }
    with ledger.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(occurrences)) == 3
