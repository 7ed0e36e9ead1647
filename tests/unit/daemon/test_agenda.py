"""
The agenda: what is due is collected once, and stays undecided until its row is durable, whatever is reloaded
meanwhile.
"""

from typing import Any

import pytest

from tests.support.scheduling import definitions_of
from tests.support.values import a_due, a_job
from tminus.daemon.attempts.undecided import Undecided
from tminus.daemon.batches.agenda import Agenda
from tminus.instants import SECOND
from tminus.model.job import Cron, Every
from tminus.outcome import Outcome
from tminus.policies.jitter import jittered

T = 1_800_000_000 * SECOND


@pytest.mark.parametrize("is_back", [False, True])
def test_what_was_due_when_its_schedule_ended_outlives_a_further_reload(is_back: bool) -> None:
    undecided = Undecided()
    agenda = Agenda(
        definitions_of(a_job("tick", schedule=(Every(SECOND),))), {"tick": T}, undecided=undecided
    )
    agenda.collect("tick", until_ns=T + 10 * SECOND, now_ns=T)

    now_ns = T + 2 * SECOND
    agenda.replan(definitions_of(), {}, now_ns=now_ns)
    back = [a_job("tick", schedule=(Every(7 * SECOND),))] if is_back else []
    agenda.replan(definitions_of(*back), {job.name: now_ns for job in back}, now_ns=now_ns)

    assert sorted(agenda.waiting) == [T + SECOND, T + 2 * SECOND]
    assert undecided.first() == T + SECOND


def test_a_job_that_cannot_be_collected_keeps_the_mark_back_until_it_can() -> None:
    broken: Any = "30 s"
    agenda = Agenda(
        definitions_of(a_job("tick", schedule=(Every(SECOND),), misfire_grace_ns=broken)),
        {"tick": T},
        undecided=Undecided(),
    )
    (failed,) = agenda.collect("tick", until_ns=T + 20 * SECOND, now_ns=T + 10 * SECOND)
    assert (failed.id.fire_time_ns, failed.outcome) == (T + SECOND, Outcome.FAILED)
    assert agenda.collected_until_ns() == T + SECOND

    agenda.replan(
        definitions_of(a_job("tick", schedule=(Every(SECOND),))), {"tick": T}, now_ns=T + 10 * SECOND
    )
    agenda.collect("tick", until_ns=T + 20 * SECOND, now_ns=T + 10 * SECOND)
    assert agenda.collected_until_ns() is None
    assert min(agenda.waiting) == T + 10 * SECOND


def test_a_start_that_takes_longer_than_the_grace_leaves_out_no_fire_time() -> None:
    tick = a_job("tick", schedule=(Every(SECOND),), misfire_grace_ns=3 * SECOND)
    claimed = a_due(tick, fire_time_ns=T + SECOND, is_written=True)
    agenda = Agenda(definitions_of(tick), {"tick": T}, undecided=Undecided(), due_occurrences=[claimed])

    decided = agenda.collect("tick", until_ns=T + 12 * SECOND, now_ns=T + 8 * SECOND)

    instants = {T + number * SECOND: 0 for number in range(1, 13)}
    for one in decided:
        for at_ns in range(one.id.fire_time_ns, (one.covers_until_ns or one.id.fire_time_ns) + 1, SECOND):
            instants[at_ns] += 1
    for at_ns, due_occurrences in agenda.waiting.items():
        instants[at_ns] += len(due_occurrences)
    assert instants == dict.fromkeys(instants, 1)
    assert agenda.waiting[T + SECOND] == [claimed]


def test_an_occurrence_with_jitter_waits_for_its_planned_start() -> None:
    undecided = Undecided()
    tick = a_job("tick", schedule=(Every(60 * SECOND),), jitter_ns=50 * SECOND)
    agenda = Agenda(definitions_of(tick), {"tick": T}, undecided=undecided)
    agenda.collect("tick", until_ns=T + 60 * SECOND, now_ns=T + 59 * SECOND)
    ((planned_at_ns, (due,)),) = agenda.waiting.items()
    assert planned_at_ns == due.planned_at_ns == jittered("tick", 50 * SECOND)(T + 60 * SECOND)
    assert due.id.fire_time_ns == undecided.first() == T + 60 * SECOND


def test_a_fire_time_whose_planned_start_is_to_come_is_due_and_not_late() -> None:
    """Collected after its fire time, as at a start: the one before it is late, and does not coalesce into it."""
    tick = a_job("tick", schedule=(Every(60 * SECOND),), jitter_ns=50 * SECOND, misfire_grace_ns=70 * SECOND)
    planned = {at: jittered("tick", 50 * SECOND)(at) for at in (T + 60 * SECOND, T + 120 * SECOND)}
    agenda = Agenda(definitions_of(tick), {"tick": T}, undecided=Undecided())
    now_ns = planned[T + 120 * SECOND] - 1
    decided = agenda.collect("tick", until_ns=now_ns, now_ns=now_ns)
    assert (decided, set(agenda.waiting)) == ([], set(planned.values()))


def test_what_waits_keeps_its_T_under_another_jitter_and_gets_the_new_deadline() -> None:
    before = a_job("tick", schedule=(Every(60 * SECOND),))
    agenda = Agenda(definitions_of(before), {"tick": T}, undecided=Undecided())
    agenda.collect("tick", until_ns=T + 60 * SECOND, now_ns=T)
    (planned_at_ns,) = agenda.waiting
    later = a_job(
        "tick", schedule=before.schedule, jitter_ns=30 * SECOND, not_after=Cron("0 0 * * * *", "UTC")
    )
    agenda.replan(definitions_of(later), {"tick": T}, now_ns=T)
    ((at_ns, (due,)),) = agenda.waiting.items()
    assert (at_ns, due.planned_at_ns, due.job) == (planned_at_ns, planned_at_ns, later)
    assert due.not_after_ns is not None
