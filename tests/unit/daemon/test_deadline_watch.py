"""The deadline watch: one problem and one warning for each occurrence that has not finished in time."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.support.fake_clock import FakeClock
from tests.support.ledgers import T, an_instance, claim
from tests.support.new_ledgers import new_ledger
from tests.support.scheduling import definitions_of
from tests.support.values import a_due, a_job, an_ending
from tminus.daemon.attempts.recorder import Recorder
from tminus.daemon.batches.deadline_watch import DeadlineWatch
from tminus.daemon.processes.executors import Executors
from tminus.daemon.processes.job_requests import JobRequestHandler
from tminus.daemon.runtime import Runtime
from tminus.instants import SECOND
from tminus.ledger import notices, outcomes
from tminus.model.job import Cron
from tminus.outcome import Origin
from tminus.release.gate import Gate

#: T is 11:30 in UTC.
JOB = a_job(finish_by=Cron("0 31 11 * * *", "UTC"))


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    """A runtime whose ledger has nothing yet, at T."""
    clock, ledger = FakeClock(T), new_ledger(tmp_path)
    yield Runtime(
        clock=clock,
        ledger=ledger,
        instance=an_instance(ledger),
        definitions=definitions_of(JOB, a_job("free")),
        executors=Executors(clock, job_requests=JobRequestHandler(ledger, clock=clock)),
        recorder=Recorder(ledger, gate=Gate(clock), clock=clock),
        gate=Gate(clock),
    )
    ledger.close()


def pass_by(runtime: Runtime, duration_ns: int) -> None:
    assert isinstance(runtime.clock, FakeClock)
    runtime.clock.pass_by(duration_ns)


def test_what_has_not_finished_in_time_is_a_problem_until_it_has(runtime: Runtime) -> None:
    due, watch = a_due(JOB, fire_time_ns=T), DeadlineWatch(runtime)
    claim(runtime.ledger, [due])
    pass_by(runtime, 60 * SECOND)
    assert watch.problems() == []
    with capture_logs() as logs:
        pass_by(runtime, 3 * SECOND)
        assert watch.problems() == [f"{due.id} has not finished by 2025-11-20T11:31:00Z (finish_by)"]
        pass_by(runtime, 3 * SECOND)
        assert len(watch.problems()) == 1
    assert [line["event"] for line in logs] == ["not finished in time"]
    outcomes.record(runtime.ledger, [an_ending(due)])
    pass_by(runtime, 3 * SECOND)
    assert watch.problems() == []


def test_what_has_not_finished_in_time_is_noted_once_also_over_restarts(runtime: Runtime) -> None:
    job = a_job("told", finish_by=JOB.finish_by, notify=("ops",))
    runtime.definitions = definitions_of(JOB, job)
    due, silent = a_due(job, fire_time_ns=T), a_due(JOB, fire_time_ns=T)
    claim(runtime.ledger, [due, silent])
    pass_by(runtime, 63 * SECOND)
    DeadlineWatch(runtime).problems()
    (one,) = notices.read(runtime.ledger).late_finishes
    assert (one.id, one.finish_by_ns) == (due.id, T + 60 * SECOND)
    notices.decide(runtime.ledger, decided=(), messages=(), changed={}, late_finishes_decided=[one.number])
    DeadlineWatch(runtime).problems()
    assert notices.read(runtime.ledger).late_finishes == []


def test_what_nobody_has_scheduled_or_limited_is_no_problem(runtime: Runtime) -> None:
    claim(runtime.ledger, [a_due(JOB, fire_time_ns=T, origin=Origin.MANUAL)])
    claim(runtime.ledger, [a_due(a_job("free"), fire_time_ns=T)])
    pass_by(runtime, 3600 * SECOND)
    assert DeadlineWatch(runtime).problems() == []


def test_many_problems_are_summed_up(runtime: Runtime) -> None:
    for number in range(8):
        claim(runtime.ledger, [a_due(JOB, fire_time_ns=T - number * SECOND)])
    pass_by(runtime, 3600 * SECOND)
    assert DeadlineWatch(runtime).problems()[-1] == "3 more have not finished in time"
