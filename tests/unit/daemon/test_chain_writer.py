"""Steps of chains: written in their order, some at a time; one that cannot be written is in nobody's way."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.ledgers import T, claim, commit
from tests.support.new_ledgers import new_ledger
from tests.support.values import a_due, a_job, an_ending
from tminus.clock import SystemClock
from tminus.daemon.attempts.recorder import Recorder
from tminus.daemon.ledger_retry import GivenUp
from tminus.daemon.processes.executors import Executors
from tminus.daemon.processes.job_requests import JobRequestHandler
from tminus.daemon.runs.chain_writer import ChainWriter
from tminus.daemon.runtime import Runtime
from tminus.instants import SECOND
from tminus.ledger import chains, history, outcomes
from tminus.ledger.chains import LinkUpdate
from tminus.ledger.engine import Ledger
from tminus.model.batch import DueOccurrence
from tminus.model.chain import Function, Link, ReturnValue, StartJob
from tminus.model.definitions import Definitions
from tminus.outcome import LinkState, Origin
from tminus.release.gate import Gate

CHAINS = 203
THEN = (Link(callback=Function(ref="hooks:done")), Link(callback=StartJob("page")))


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with so many chains that have begun."""
    ledger = new_ledger(tmp_path)
    due_occurrences = [a_due(a_job(f"job_{index}", then=THEN), fire_time_ns=T) for index in range(CHAINS)]
    commit(ledger, claim(ledger, due_occurrences))
    outcomes.record(
        ledger, [an_ending(due, chain=due.chain(ReturnValue(text="1"))) for due in due_occurrences]
    )
    yield ledger
    ledger.close()


def steps_of(ledger: Ledger, launched: list[Sequence[DueOccurrence]]) -> ChainWriter:
    clock = SystemClock()
    runtime = Runtime(
        clock=clock,
        ledger=ledger,
        instance="",
        definitions=Definitions(paths=("jobs.yaml",), version="", text="", zone="UTC"),
        executors=Executors(clock, job_requests=JobRequestHandler(ledger, clock=clock)),
        recorder=Recorder(ledger, gate=Gate(clock), clock=clock),
        gate=Gate(clock),
    )
    return ChainWriter(runtime, on_due=launched.append, lead_ns=lambda jobs: len(jobs) * SECOND)


def step(chain: int, position: int = 0, **more: object) -> LinkUpdate:
    values: dict[str, object] = {
        "state": LinkState.SUCCEEDED,
        "at_ns": T,
        "value": ReturnValue(text="2"),
        **more,
    }
    return LinkUpdate(occurrence=chain, position=position, **values)  # type: ignore[arg-type]


def test_of_a_chain_that_no_database_takes_nothing_is_written_and_all_of_the_others(begun: Ledger) -> None:
    numbers = [one.occurrence for one in chains.find(begun)]
    bad, *good = numbers
    steps = steps_of(begun, [])
    for number in numbers:
        steps.note(step(number, value=ReturnValue(text="\ud800" if number == bad else "2")))
    for number in numbers:
        steps.note(step(number, 1))
        steps.end(number)
    assert steps.write() == {bad}
    (left,) = chains.find(begun)
    assert (left.occurrence, left.states) == (bad, (LinkState.WAITING, LinkState.WAITING))
    ended = {tuple(link.state for link in one.chain) for one in history.find(begun) if one.id != left.id}
    assert (ended, len(good)) == ({(LinkState.SUCCEEDED, LinkState.SUCCEEDED)}, CHAINS - 1)


def test_what_is_started_has_its_t_a_lead_after_it_is_written(begun: Ledger) -> None:
    launched: list[Sequence[DueOccurrence]] = []
    steps = steps_of(begun, launched)
    page = a_due(a_job("page"), fire_time_ns=T, planned_at_ns=T, origin=Origin.CHAIN, is_written=True)
    now_ns = SystemClock().wall_ns()
    for number in (1, 2):
        steps.note(step(number, 1, value=None, starts=page))
    assert steps.write() == set()
    ((first, second),) = launched
    assert now_ns + 2 * SECOND <= first.planned_at_ns == second.planned_at_ns
    assert {one.planned_at_ns for one in history.find(begun, jobs=["page"])} == {first.planned_at_ns}


def test_of_what_was_abandoned_nothing_is_written(begun: Ledger) -> None:
    steps = steps_of(begun, [])
    steps.note(step(1))
    steps.abandoned.set()
    begun.path.unlink()  # type: ignore[union-attr]  # a file: that is a ledger that does not work
    with pytest.raises(GivenUp):
        steps.write()
