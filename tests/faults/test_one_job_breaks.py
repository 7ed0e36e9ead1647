"""
One job breaks, in any step that handles one job: it gets its honest outcome, and the others of its batch do
not notice.

To cover a new step, add it to `STEPS` with what its failure costs; the first test names steps that are
missing.
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

from tests.support.faults import InjectedFault, fault_in, recording
from tests.support.logs import plain_logs
from tests.support.service import Batch, Batches, batches
from tests.support.target import TargetServer
from tminus.daemon.attempts.recorder import WITHOUT_DETAILS
from tminus.executors.http.wire import Request
from tminus.executors.protocol import AttemptResult
from tminus.executors.python.wire import Work
from tminus.instants import MS
from tminus.model.batch import DueOccurrence
from tminus.model.occurrence import Attempt, Occurrence, OccurrenceId
from tminus.outcome import Outcome
from tminus.secrets.redaction import Redaction

_PROCESSES = {7: "isolated", 25: "isolated", 43: "isolated"}
#: Of each job of a batch.
KINDS = [
    _PROCESSES.get(index) or ("http", "followed", "prepared", "flask", "call")[index % 5]
    for index in range(50)
]
HTTP, PYTHON, EXPECTED = (
    ("http", "followed", "prepared"),
    ("flask", "call", "isolated"),
    tuple(dict.fromkeys(KINDS)),
)


@dataclass(frozen=True, slots=True)
class Costs:
    """
    What a failure in a step costs the job.

    Attributes:
        outcome: Of its run.
        kinds: Kinds of jobs that take the step.
        chain: Whether it costs the chain that follows the run.
        times: How often the step fails. The ledger's steps are tried with others, alone, and without details:
            then they do not fail.
    """

    outcome: Outcome
    kinds: Sequence[str] = EXPECTED
    chain: bool = False
    times: int = 1 << 30


#: So often a batch is tried in which others start late.
_TRIES = 10
_NOT_SENT, _MAYBE_SENT, _WELL = Outcome.FAILED, Outcome.UNKNOWN, Outcome.SUCCEEDED
_CHAINED = ("followed", "call")
_WITHOUT_CALLBACK = tuple(kind for kind in EXPECTED if kind != "followed")

STEPS = {
    "tminus.daemon.batches.admission:admit": Costs(_NOT_SENT),
    "tminus.daemon.batches.admission:_decide_overlap": Costs(_NOT_SENT),
    "tminus.daemon.calls.calls:Calls._end": Costs(_WELL, _CHAINED, chain=True, times=1),
    "tminus.daemon.calls.calls:Calls._handle": Costs(_WELL, _CHAINED, chain=True),
    "tminus.daemon.calls.calls:Calls._returned": Costs(_WELL, _CHAINED, chain=True),
    "tminus.daemon.calls.calls:Calls._send": Costs(_WELL, _CHAINED, chain=True, times=1),
    "tminus.daemon.runs.chains:Chains._next_function": Costs(_WELL, _CHAINED, chain=True),
    "tminus.daemon.runs.chains:Chains._open_one": Costs(_WELL, _CHAINED, chain=True),
    "tminus.daemon.runs.chains:Chains._start": Costs(_WELL, ("followed",), chain=True),
    "tminus.daemon.runs.chains:Chains._step": Costs(_WELL, _CHAINED, chain=True),
    "tminus.daemon.runs.chains:Chains._take": Costs(_WELL, _CHAINED, chain=True),
    "tminus.daemon.batches.countdown:Countdown._render_one": Costs(_NOT_SENT),
    "tminus.daemon.batches.batch_dispatcher:BatchDispatcher.add": Costs(
        _NOT_SENT, ("http", "followed", "flask", "call", "isolated")
    ),
    "tminus.daemon.batches.batch_results:BatchResults._evaluate": Costs(_MAYBE_SENT),
    "tminus.daemon.batches.batch_results:BatchResults._put": Costs(_MAYBE_SENT, times=1),
    "tminus.daemon.processes.channels:RunnerChannel.call": Costs(_WELL, _CHAINED, chain=True),
    "tminus.daemon.processes.dispatch:Dispatch.add": Costs(_NOT_SENT),
    "tminus.daemon.processes.dispatch:size_of": Costs(_NOT_SENT),
    "tminus.daemon.attempts.evaluation:_chain_value": Costs(_MAYBE_SENT, _CHAINED),
    "tminus.daemon.attempts.evaluation:_compare": Costs(_MAYBE_SENT),
    "tminus.daemon.attempts.evaluation:attempt_of": Costs(_MAYBE_SENT),
    "tminus.daemon.attempts.evaluation:evaluate_attempt": Costs(_MAYBE_SENT),
    "tminus.daemon.attempts.evaluation:phases_of": Costs(_MAYBE_SENT),
    "tminus.daemon.runs.chain_links:_finished": Costs(_WELL, _CHAINED, chain=True),
    "tminus.daemon.runs.chain_links:to_call": Costs(_WELL, _CHAINED, chain=True),
    "tminus.daemon.runs.chain_links:to_link_result": Costs(_WELL, _CHAINED, chain=True),
    "tminus.daemon.batches.prepare_phase:PreparePhase._take_in": Costs(_NOT_SENT, ("prepared",)),
    "tminus.daemon.batches.prepare_phase:PreparePhase._take_request": Costs(_NOT_SENT, ("prepared",)),
    "tminus.daemon.batches.prepare_phase:_runner_key": Costs(_NOT_SENT, ("prepared",)),
    "tminus.daemon.batches.prepare_phase:PreparePhase.takes": Costs(_NOT_SENT),
    "tminus.daemon.batches.prepare_call:prepare_work": Costs(_NOT_SENT, ("prepared",)),
    "tminus.daemon.batches.prepare_call:apply_changes": Costs(_NOT_SENT, ("prepared",)),
    "tminus.daemon.attempts.recorder:Recorder.put": Costs(_MAYBE_SENT, times=1),
    "tminus.daemon.attempts.unwritten:Unwritten.add": Costs(_MAYBE_SENT, times=1),
    "tminus.daemon.attempts.request_record:record_of": Costs(_MAYBE_SENT),
    "tminus.daemon.attempts.retries:retry_after_report": Costs(_MAYBE_SENT),
    "tminus.daemon.attempts.retries:retry_at_ns": Costs(_MAYBE_SENT),
    "tminus.daemon.attempts.render:Renderer._context_of_run": Costs(_WELL, ("call",), chain=True),
    "tminus.daemon.attempts.render:Renderer._call": Costs(_NOT_SENT, ("call", "isolated")),
    "tminus.daemon.attempts.render:Renderer._context": Costs(_NOT_SENT, ("flask", "call", "isolated")),
    "tminus.daemon.attempts.render:Renderer._substitution": Costs(_NOT_SENT),
    "tminus.daemon.attempts.render:Renderer._request": Costs(_NOT_SENT, HTTP),
    "tminus.daemon.attempts.render:Renderer._view": Costs(_NOT_SENT, ("flask",)),
    "tminus.daemon.attempts.render:Renderer._work": Costs(_NOT_SENT, PYTHON),
    "tminus.daemon.attempts.render:Renderer._reported_bytes": Costs(_NOT_SENT),
    "tminus.daemon.attempts.render:Renderer.render_link": Costs(_WELL, _CHAINED, chain=True),
    "tminus.daemon.attempts.render:Renderer.render": Costs(_NOT_SENT),
    "tminus.daemon.attempts.render:Renderer.secrets": Costs(_NOT_SENT),
    "tminus.daemon.attempts.http_message:build_headers": Costs(_NOT_SENT),
    "tminus.daemon.attempts.render:_translate_render_errors": Costs(_NOT_SENT),
    "tminus.daemon.attempts.in_flight:InFlight.admit": Costs(_NOT_SENT),
    "tminus.daemon.runs.chain_writer:ChainWriter.note": Costs(_WELL, _CHAINED, chain=True, times=1),
    "tminus.executors.python.wire:plain": Costs(_NOT_SENT, ("flask", "isolated")),
    "tminus.ledger.chains:_write_update": Costs(_WELL, _CHAINED, chain=True, times=2),
    # It costs the run's details; so a callback would get a failure, and its chain would go another way.
    "tminus.ledger.outcomes:_outcome_columns": Costs(_WELL, _WITHOUT_CALLBACK),
    "tminus.ledger.rows:attempt_row": Costs(_WELL, _WITHOUT_CALLBACK),
    "tminus.ledger.rows:new_row": Costs(_NOT_SENT, times=2),
    "tminus.model.batch:ChainStart.after": Costs(_MAYBE_SENT, _CHAINED, times=1),
    "tminus.templates.values:context": Costs(_NOT_SENT),
}
#: What guards the steps cannot be guarded by itself.
GUARDS = {
    "tminus.daemon.batches.batch_results:BatchResults.guard",
    "tminus.daemon.batches.batch_results:BatchResults.is_open",
}
#: Called with the job that a chain starts, not with the one that breaks.
WITHIN = {"tminus.daemon.batches.agenda:Agenda.add", "tminus.daemon.runs.chain_links:due_of"}


@pytest.fixture
def fifty(tmp_path: Path, target: TargetServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A service that runs batches of fifty jobs."""
    monkeypatch.setenv("SERVICE_KEY", "canary-of-the-service")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield lambda: batches(tmp_path, target, KINDS)
    plain_logs()


def test_each_step_that_handles_one_job_is_in_the_table(fifty: Any) -> None:
    found: list[str] = []
    with recording("", found.append), fifty() as some:
        assert Counter(one.outcome for one in some.run().occurrences) == {Outcome.SUCCEEDED: 50}
    steps = {
        step for step in found if not step.startswith("tminus.jobsfile.")
    }  # the reader of the file: before any batch
    assert steps - STEPS.keys() - GUARDS - WITHIN == set(), "add these steps to the table"
    assert STEPS.keys() - steps == set(), "the code has these steps no more"


@pytest.mark.parametrize(
    "every",
    [
        pytest.param(9, id="of-an-early-or-middle-or-late-job"),
        pytest.param(3, id="of-an-early-and-middle-and-late-job", marks=pytest.mark.long),
    ],
)
@pytest.mark.timeout(600)
def test_a_job_that_breaks_in_any_step_costs_itself_alone(fifty: Any, every: int) -> None:
    """In each batch nine steps fail, each in another job. A step fails in one batch, or in three."""
    failures = []
    with fifty() as some:
        some.run()  # what is imported and connected for the first time
        undisturbed = [some.run() for _ in range(3)]
        for number in range(0, len(STEPS), every):
            broken = victims(number)
            try:
                check_round(some, undisturbed, broken)
            except AssertionError as failure:
                failures.append(f"{broken}: {failure}")
    assert failures == [], "\n".join(failures)


def victims(number: int) -> dict[int, str]:
    """The jobs that break in a batch, and where: nine steps from this one on, three of them in early jobs."""
    steps = list(STEPS)
    broken: dict[int, str] = {}
    for place in range(9):
        step = steps[(number + place) % len(steps)]
        jobs = takers(step)
        wanted = jobs[(0, len(jobs) // 2, -1)[place // 3]]
        broken[min((job for job in jobs if job not in broken), key=lambda job: abs(job - wanted))] = step
    return broken


def takers(step: str) -> list[int]:
    """The jobs of a batch that take a step."""
    return [index for index, kind in enumerate(KINDS) if kind in STEPS[step].kinds]


def check_round(some: Batches, undisturbed: list[Batch], broken: Mapping[int, str]) -> None:
    """
    Run a batch in which steps fail. What a failure costs the others, it costs them in each batch; a machine
    that is busy with something else costs them in some. So others are late if they are in every try.
    """
    for tries_left in reversed(range(_TRIES)):
        with contextlib.ExitStack() as faults:
            raised = [
                faults.enter_context(fault_for(some, step, some.names[victim]))
                for victim, step in broken.items()
            ]
            batch = some.run()
        assert all(raised), f"the steps that were taken: {raised}"
        check(batch, undisturbed[0], broken)
        late = lateness(batch, undisturbed, without={some.names[victim] for victim in broken})
        assert tries_left or not late, f"started late in each of {_TRIES} batches: {', '.join(late)}"
        if not late:
            return
        undisturbed.append(some.run())


def fault_for(some: Batches, step: str, name: str) -> contextlib.AbstractContextManager[list[str]]:
    """This step fails for this job, as long as its outcome is written with its details."""

    def is_victim(arguments: Sequence[Any]) -> bool:
        return job_of(some, arguments) == name and all(
            getattr(one, "reason", "") != WITHOUT_DETAILS for one in arguments
        )

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
            assert (one.outcome, states(one)) == (Outcome.SUCCEEDED, states(well)), (
                f"{one.id}: {one.outcome} {one.reason}"
            )
    assert Counter(name for name in batch.arrivals if name != "started") == dict.fromkeys(requests, 1)


def check_broken(one: Occurrence, states_if_well: Sequence[str], costs: Costs, step: str) -> None:
    """The outcome and the chain of a job that broke."""
    assert one.outcome is costs.outcome, f"{step}: {one.outcome} {one.reason}"
    assert not any(link.state.is_open for link in one.chain), f"{step}: {states(one)}"
    assert costs.chain == (one.outcome is Outcome.SUCCEEDED and states(one) != states_if_well), (
        f"{step}: {states(one)}"
    )
    if costs.outcome is not Outcome.SUCCEEDED:
        assert InjectedFault.__name__ in (one.reason or "") or step in (one.reason or ""), (
            f"{step}: {one.reason}"
        )
        assert (", not sent: " in (one.reason or "")) == (costs.outcome is _NOT_SENT), f"{step}: {one.reason}"


def states(one: Occurrence | None) -> list[str]:
    """Of its links."""
    assert one is not None
    return [link.state.value for link in one.chain]


def lateness(batch: Batch, undisturbed: Sequence[Batch], *, without: Collection[str]) -> list[str]:
    """Groups of jobs of which the last one started much later than in every undisturbed batch."""
    late = []
    for kinds in (("http", "followed"), ("flask", "call"), ("isolated",)):
        slowest_ns = max(one.last_start_ns(kinds) for one in undisturbed)
        last_ns = batch.last_start_ns(kinds, without=without)
        if last_ns > 5 * slowest_ns:
            late.append(
                f"{' and '.join(kinds)} {last_ns / MS:.1f} ms after T, undisturbed {slowest_ns / MS:.1f}"
            )
    return late


def job_of(some: Batches, arguments: Sequence[Any]) -> str | None:
    """The job that a step is called for."""
    match arguments:
        case [int(row), AttemptResult(), Redaction(), *_] | [
            int(row),
            Attempt(),
        ]:
            return some.name_of(row)
    if call := next((one for one in arguments if type(one).__name__ == "_OutstandingCall"), None):
        return str(call.request.occurrence.job)
    for one in arguments:
        match one:
            case DueOccurrence(id=OccurrenceId(job=job)) | OccurrenceId(job=job):
                return job
            case Work(job=job):
                return job
            case AttemptResult() | Request():
                return some.names[one.index]
            case object(due=DueOccurrence(id=OccurrenceId(job=job))) | object(id=OccurrenceId(job=job)):
                return job
            case object(run=DueOccurrence(id=OccurrenceId(job=job))):
                return job
            case object(occurrence=int(row)) | object(owner=int(row)) | object(chain=int(row)):
                return some.name_of(row)
    return None
