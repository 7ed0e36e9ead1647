"""Who of a batch does not start after all, and whether the reason is true."""

from pathlib import Path

from tests.support.fake_clock import FakeClock
from tests.support.new_ledgers import new_ledger
from tests.support.values import a_due, a_job
from tminus.daemon.attempts.recorder import Recorder
from tminus.daemon.batches.admission import admit
from tminus.daemon.processes.executors import Executors
from tminus.daemon.processes.job_requests import JobRequestHandler
from tminus.daemon.runtime import Runtime
from tminus.instants import MS, SECOND
from tminus.model.batch import UnstartedResult
from tminus.model.definitions import Definitions
from tminus.outcome import Outcome
from tminus.release.gate import Gate

T = 1_700_000_000 * SECOND


def test_of_two_due_within_one_commit_the_second_is_told_what_the_first_does(
    tmp_path: Path,
) -> None:
    """Both are decided before the first one's T: it is not running yet."""
    clock, job, ledger = FakeClock(T - 250 * MS), a_job("pay"), new_ledger(tmp_path)
    runtime = Runtime(
        clock=clock,
        ledger=ledger,
        instance="",
        definitions=Definitions(paths=("jobs.yaml",), version="", text="", zone="UTC", jobs={"pay": job}),
        executors=Executors(clock, job_requests=JobRequestHandler(ledger, clock=clock)),
        recorder=Recorder(ledger, gate=Gate(clock), clock=clock),
        gate=Gate(clock),
    )
    first, *others = (a_due(job, fire_time_ns=T + number * 100 * MS) for number in range(3))
    assert admit(runtime, first) is None
    early = admit(runtime, others[0])
    clock.pass_by(250 * MS)
    late = admit(runtime, others[1])
    assert isinstance(early, UnstartedResult)
    assert isinstance(late, UnstartedResult)
    assert (early.outcome, late.outcome) == (Outcome.SKIPPED, Outcome.SKIPPED)
    assert early.reason == f"overlap: {first.id} is to start at 2023-11-14T22:13:20Z (max_instances 1)"
    assert late.reason == f"overlap: {first.id} is still running (max_instances 1)"
    runtime.in_flight.end(first.id)
    assert admit(runtime, others[1]) is None
    ledger.close()
