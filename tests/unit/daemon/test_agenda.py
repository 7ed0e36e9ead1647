"""The agenda: what is due is collected once, and stays undecided until its row is durable, whatever is reloaded meanwhile."""

from typing import Any

import pytest

from scheduler.daemon.agenda import Agenda
from scheduler.daemon.undecided import Undecided
from scheduler.instants import SECOND
from scheduler.model.job import Every
from scheduler.outcome import Outcome
from tests.support.scheduling import definitions_of
from tests.support.values import a_due, a_job

T = 1_800_000_000 * SECOND


@pytest.mark.parametrize("is_back", [False, True])
def test_what_was_due_when_its_schedule_ended_outlives_a_further_reload(is_back: bool) -> None:
    undecided = Undecided()
    agenda = Agenda(definitions_of(a_job("tick", schedule=(Every(SECOND),))), {"tick": T}, undecided=undecided)
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
        definitions_of(a_job("tick", schedule=(Every(SECOND),), misfire_grace_ns=broken)), {"tick": T}, undecided=Undecided()
    )
    (failed,) = agenda.collect("tick", until_ns=T + 20 * SECOND, now_ns=T + 10 * SECOND)
    assert (failed.id.fire_time_ns, failed.outcome) == (T + SECOND, Outcome.FAILED)
    assert agenda.behind_ns() == T + SECOND

    agenda.replan(definitions_of(a_job("tick", schedule=(Every(SECOND),))), {"tick": T}, now_ns=T + 10 * SECOND)
    agenda.collect("tick", until_ns=T + 20 * SECOND, now_ns=T + 10 * SECOND)
    assert agenda.behind_ns() is None
    assert min(agenda.waiting) == T + 10 * SECOND


def test_a_start_that_takes_longer_than_the_grace_leaves_out_no_instant_beside_those_that_were_claimed_before() -> None:
    tick = a_job("tick", schedule=(Every(SECOND),), misfire_grace_ns=3 * SECOND)
    claimed = a_due(tick, fire_time_ns=T + SECOND, is_written=True)
    agenda = Agenda(definitions_of(tick), {"tick": T}, undecided=Undecided(), dues=[claimed])

    decided = agenda.collect("tick", until_ns=T + 12 * SECOND, now_ns=T + 8 * SECOND)

    instants = {T + number * SECOND: 0 for number in range(1, 13)}
    for one in decided:
        for at_ns in range(one.id.fire_time_ns, (one.covers_until_ns or one.id.fire_time_ns) + 1, SECOND):
            instants[at_ns] += 1
    for at_ns, dues in agenda.waiting.items():
        instants[at_ns] += len(dues)
    assert instants == dict.fromkeys(instants, 1)
    assert agenda.waiting[T + SECOND] == [claimed]
