"""
One job breaks, in any step that handles one job: it gets its honest outcome, and the others of its batch do not notice.

To cover a new step, add it to `STEPS` with what its failure costs; the first test names steps that are missing.
"""

import contextlib
import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from scheduler.daemon.recorder import WITHOUT_DETAILS
from scheduler.daemon.redaction import Redaction
from scheduler.executors.http import wire as http_wire
from scheduler.executors.python import wire as python_wire
from scheduler.model.batch import Due
from scheduler.model.occurrence import Attempt, Occurrence, OccurrenceId
from scheduler.outcome import Outcome
from tests.support.faults import InjectedFault, fault_in, recording
from tests.support.service import Batch, Batches, batches
from tests.support.target import TargetServer

_PROCESSES = {7: "isolated", 25: "isolated", 43: "isolated"}
#: Of each job of a batch.
KINDS = [_PROCESSES.get(index) or ("http", "followed", "prepared", "flask", "call")[index % 5] for index in range(50)]
HTTP, PYTHON, EXPECTED = ("http", "followed", "prepared"), ("flask", "call", "isolated"), tuple(dict.fromkeys(KINDS))


@dataclass(frozen=True, slots=True)
class Costs:
    """
    What a failure in a step costs the job.

    Attributes:
        outcome: Of its run.
        kinds: Kinds of jobs that take the step.
        chain: Whether it costs the chain that follows the run.
        times: How often the step fails. The ledger's steps are tried with others, alone, and without details: then they do not fail.
    """

    outcome: Outcome
    kinds: Sequence[str] = EXPECTED
    chain: bool = False
    times: int = 1 << 30


_NOT_SENT, _MAYBE_SENT, _WELL = Outcome.FAILED, Outcome.UNKNOWN, Outcome.SUCCEEDED
_CHAINED = ("followed", "call")

STEPS = {
    "scheduler.daemon.admission:decide": Costs(_NOT_SENT),
    "scheduler.daemon.calls:Calls._finished": Costs(_WELL, _CHAINED, chain=True),
    "scheduler.daemon.calls:Calls._take_in": Costs(_WELL, _CHAINED, chain=True, times=1),
    "scheduler.daemon.calls:_make": Costs(_WELL, _CHAINED, chain=True),
    "scheduler.daemon.calls:_Together.back": Costs(_WELL, _CHAINED, chain=True, times=1),
    "scheduler.daemon.chains:Chains._next_function": Costs(_WELL, _CHAINED, chain=True),
    "scheduler.daemon.chains:Chains._open_one": Costs(_WELL, _CHAINED, chain=True),
    "scheduler.daemon.chains:Chains._start": Costs(_WELL, ("followed",), chain=True),
    "scheduler.daemon.chains:Chains._step": Costs(_WELL, _CHAINED, chain=True),
    "scheduler.daemon.chains:Chains._take": Costs(_WELL, _CHAINED, chain=True),
    "scheduler.daemon.countdown:Countdown._render_one": Costs(_NOT_SENT),
    "scheduler.daemon.dispatching:Dispatching.add": Costs(_NOT_SENT, ("http", "followed", "flask", "call", "isolated")),
    "scheduler.daemon.endings:Endings._evaluate": Costs(_MAYBE_SENT),
    "scheduler.daemon.endings:Endings._put": Costs(_MAYBE_SENT, times=1),
    "scheduler.daemon.flight:Flight.add": Costs(_NOT_SENT),
    "scheduler.daemon.flight:size_of": Costs(_NOT_SENT),
    "scheduler.daemon.judge:_flowing": Costs(_MAYBE_SENT, _CHAINED),
    "scheduler.daemon.judge:_verdict": Costs(_MAYBE_SENT),
    "scheduler.daemon.judge:attempt_of": Costs(_MAYBE_SENT),
    "scheduler.daemon.judge:judge": Costs(_MAYBE_SENT),
    "scheduler.daemon.links:_finished": Costs(_WELL, _CHAINED, chain=True),
    "scheduler.daemon.links:call_of": Costs(_WELL, _CHAINED, chain=True),
    "scheduler.daemon.links:returned": Costs(_WELL, _CHAINED, chain=True),
    "scheduler.daemon.preparation:Preparation._take_in": Costs(_NOT_SENT, ("prepared",)),
    "scheduler.daemon.preparation:Preparation.takes": Costs(_NOT_SENT),
    "scheduler.daemon.prepare:call_of": Costs(_NOT_SENT, ("prepared",)),
    "scheduler.daemon.prepare:changed": Costs(_NOT_SENT, ("prepared",)),
    "scheduler.daemon.recorder:Recorder.put": Costs(_MAYBE_SENT, times=1),
    "scheduler.daemon.render:Renderer._around": Costs(_WELL, ("call",), chain=True),
    "scheduler.daemon.render:Renderer._call": Costs(_NOT_SENT, ("call", "isolated")),
    "scheduler.daemon.render:Renderer._context": Costs(_NOT_SENT, ("flask", "call", "isolated")),
    "scheduler.daemon.render:Renderer._for": Costs(_NOT_SENT),
    "scheduler.daemon.render:Renderer._request": Costs(_NOT_SENT, HTTP),
    "scheduler.daemon.render:Renderer._view": Costs(_NOT_SENT, ("flask",)),
    "scheduler.daemon.render:Renderer._work": Costs(_NOT_SENT, PYTHON),
    "scheduler.daemon.render:Renderer._kept": Costs(_NOT_SENT),
    "scheduler.daemon.render:Renderer.link": Costs(_WELL, _CHAINED, chain=True),
    "scheduler.daemon.render:Renderer.render": Costs(_NOT_SENT),
    "scheduler.daemon.render:Renderer.secrets": Costs(_NOT_SENT),
    "scheduler.daemon.render:_headers": Costs(_NOT_SENT),
    "scheduler.daemon.render:_in_our_words": Costs(_NOT_SENT),
    "scheduler.daemon.running:Running.admit": Costs(_NOT_SENT),
    "scheduler.daemon.steps:Steps.note": Costs(_WELL, _CHAINED, chain=True, times=1),
    "scheduler.executors.python.wire:plain": Costs(_NOT_SENT, ("flask", "isolated")),
    "scheduler.ledger.chains:_take": Costs(_WELL, _CHAINED, chain=True, times=2),
    "scheduler.ledger.outcomes:_ending": Costs(_WELL),
    "scheduler.ledger.rows:attempt_row": Costs(_WELL),
    "scheduler.ledger.rows:new_row": Costs(_NOT_SENT, times=2),
    "scheduler.templates.values:context": Costs(_NOT_SENT),
}
#: What guards the steps cannot be guarded by itself.
GUARDS = {"scheduler.daemon.endings:Endings.guard", "scheduler.daemon.endings:Endings.is_open"}
#: Called with the job that a chain starts, not with the one that breaks.
WITHIN = {"scheduler.daemon.agenda:Agenda.add", "scheduler.daemon.links:due_of"}


@pytest.fixture
def fifty(tmp_path: Path, target: TargetServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A service that runs batches of fifty jobs."""
    monkeypatch.setenv("SERVICE_KEY", "canary-of-the-service")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield lambda: batches(tmp_path, target, KINDS)
    structlog.reset_defaults()


def test_each_step_that_handles_one_job_is_in_the_table(fifty: Any) -> None:
    found: list[str] = []
    with recording("", found.append), fifty() as some:
        assert Counter(one.outcome for one in some.run().occurrences) == {Outcome.SUCCEEDED: 50}
    steps = {step for step in found if not step.startswith("scheduler.jobsfile.")}  # the reader of the file: before any batch
    assert steps - STEPS.keys() - GUARDS - WITHIN == set(), "add these steps to the table"
    assert STEPS.keys() - steps == set(), "the code has these steps no more"


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.timeout(600)
def test_a_job_that_breaks_in_any_step_costs_itself_alone(fifty: Any, half: int) -> None:
    """Each step fails for the first, a middle and the last job that takes it; each batch has three jobs that break."""
    steps = list(STEPS)
    failures = []
    with fifty() as some:
        some.run()  # what is imported and connected for the first time
        undisturbed = [some.run() for _ in range(3)]
        for number in range(half, len(steps), 2):
            first, middle, last = (steps[(number + more) % len(steps)] for more in range(3))
            broken = {takers(first)[0]: first, takers(middle)[len(takers(middle)) // 2]: middle, takers(last)[-1]: last}
            try:
                check_round(some, undisturbed, broken)
            except AssertionError as failure:
                failures.append(f"{broken}: {failure}")
    assert failures == []


def takers(step: str) -> list[int]:
    """The jobs of a batch that take a step."""
    return [index for index, kind in enumerate(KINDS) if kind in STEPS[step].kinds]


def check_round(some: Batches, undisturbed: list[Batch], broken: Mapping[int, str]) -> None:
    """Run a batch in which steps fail; again if others start late, and an undisturbed batch is not late at that time."""
    for tries_left in (2, 1, 0):
        with contextlib.ExitStack() as faults:
            raised = [faults.enter_context(fault_for(some, step, some.names[victim])) for victim, step in broken.items()]
            batch = some.run()
        assert all(raised), f"the steps that were taken: {raised}"
        check(batch, undisturbed[0], broken)
        late = lateness(batch, undisturbed, without={some.names[victim] for victim in broken})
        assert tries_left or not late, f"{late} started late"
        if not late:
            return
        undisturbed.append(some.run())


def fault_for(some: Batches, step: str, name: str) -> contextlib.AbstractContextManager[list[str]]:
    """This step fails for this job, as long as its outcome is written with its details."""

    def is_victim(arguments: Sequence[Any]) -> bool:
        return job_of(some, arguments) == name and all(getattr(one, "reason", "") != WITHOUT_DETAILS for one in arguments)

    return fault_in(step, is_victim, times=STEPS[step].times)


def check(batch: Batch, undisturbed: Batch, broken: Mapping[int, str]) -> None:
    """The outcomes, chains and arrivals of all jobs of a batch."""
    requests = {name for index, name in enumerate(batch.names) if KINDS[index] in HTTP}
    for index, (one, well) in enumerate(zip(batch.occurrences, undisturbed.occurrences, strict=True)):
        assert one is not None
        if index in broken:
            check_broken(one, states(well), STEPS[broken[index]], broken[index])
            if STEPS[broken[index]].outcome is _NOT_SENT:
                requests.discard(batch.names[index])
        else:
            assert (one.outcome, states(one)) == (Outcome.SUCCEEDED, states(well)), f"{one.id}: {one.outcome} {one.reason}"
    assert Counter(name for name in batch.arrivals if name != "started") == dict.fromkeys(requests, 1)


def check_broken(one: Occurrence, states_if_well: Sequence[str], costs: Costs, step: str) -> None:
    """The outcome and the chain of a job that broke."""
    assert one.outcome is costs.outcome, f"{step}: {one.outcome} {one.reason}"
    assert not any(link.state.is_open for link in one.chain), f"{step}: {states(one)}"
    assert costs.chain == (one.outcome is Outcome.SUCCEEDED and states(one) != states_if_well), f"{step}: {states(one)}"
    if costs.outcome is not Outcome.SUCCEEDED:
        assert InjectedFault.__name__ in (one.reason or "") or step in (one.reason or ""), f"{step}: {one.reason}"
        assert (", not sent: " in (one.reason or "")) == (costs.outcome is _NOT_SENT), f"{step}: {one.reason}"


def states(one: Occurrence | None) -> list[str]:
    """Of its links."""
    assert one is not None
    return [link.state.value for link in one.chain]


def lateness(batch: Batch, undisturbed: Sequence[Batch], *, without: Collection[str]) -> list[str]:
    """Groups of jobs of which the last one started much later than in an undisturbed batch."""
    groups = (("http", "followed"), ("flask", "call"), ("isolated",))
    slowest = {kinds: max(one.last_start_ns(kinds) for one in undisturbed) for kinds in groups}
    return [f"{kinds}" for kinds in groups if batch.last_start_ns(kinds, without=without) > 5 * slowest[kinds]]


def job_of(some: Batches, arguments: Sequence[Any]) -> str | None:
    """The job that a step is called for."""
    match arguments:
        case [int(row), http_wire.Finished() | python_wire.Finished(), Redaction(), *_] | [int(row), Attempt()]:
            return some.name_of(row)
    calls = next((one.calls for one in arguments if type(one).__name__ == "_Together"), None)
    for one in arguments:
        match one:
            case Due(id=OccurrenceId(job=job)) | OccurrenceId(job=job):
                return job
            case python_wire.Work(job=job):
                return job
            case http_wire.Finished() | python_wire.Finished() | http_wire.Request():
                if calls is None:
                    return some.names[one.index]
                return str(calls[one.index].due.id.job) if one.index in calls else None
            case int() if calls is not None:
                return str(calls[one].due.id.job)
            case object(due=Due(id=OccurrenceId(job=job))) | object(id=OccurrenceId(job=job)):
                return job
            case object(occurrence=int(row)) | object(owner=int(row)) | object(chain=int(row)):
                return some.name_of(row)
    return None
