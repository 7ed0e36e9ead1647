"""The thread of one Python job: what it does when, beside the others of its shard."""

import threading
from collections.abc import Callable

import pytest

from tests.support.fake_clock import FakeClock
from tests.support.moments import PATIENCE_S
from tests.support.runner import a_call
from tminus.clock import Clock
from tminus.executors.protocol import AttemptResult
from tminus.executors.python.job_party import JobParty
from tminus.executors.python.job_run import JobRun
from tminus.executors.python.runner_services import RunnerServices
from tminus.executors.python.start_table import StartTable
from tminus.executors.python.wire import Work
from tminus.instants import SECOND
from tminus.outcome import Phase
from tminus.release.gate import Gate
from tminus.release.latch import Latch

T = 1_700_000_010 * SECOND

entered, ends = threading.Event(), threading.Event()


def enters() -> str:
    """The function of the job."""
    entered.set()
    return "done"


def goes_on() -> None:
    """The function of a job that goes on until it is told to end."""
    entered.set()
    ends.wait(PATIENCE_S)


def a_job(
    work: Work,
    *,
    clock: Clock,
    start_table: StartTable,
    all_out: Latch,
    report: Callable[[AttemptResult], None],
) -> JobParty:
    """The only job of its shard."""
    services = RunnerServices(app=None, start_table=start_table, clock=clock)
    run = JobRun(work, services, slot=0, all_out=all_out, report=report)
    return JobParty(run, clock=clock, gate=Gate(clock), shard=1)


@pytest.mark.parametrize("has_begun", [True, False])
def test_a_job_is_written_off_as_late_unless_it_has_begun(*, has_begun: bool) -> None:
    clock, all_out, start_table = FakeClock(T - SECOND), Latch(), StartTable.make()
    clock.pass_by(SECOND)
    all_out.open()
    reports: list[AttemptResult] = []
    job = a_job(
        a_call(f"{__name__}:goes_on", latest_ns=T),
        clock=clock,
        start_table=start_table,
        all_out=all_out,
        report=reports.append,
    )
    entered.clear()
    ends.clear()
    job.release(T)
    thread = threading.Thread(target=job.drain)
    if has_begun:
        thread.start()
        assert entered.wait(PATIENCE_S)
    clock.pass_by(1)
    assert job.job.give_up() is not has_begun
    assert [one.late for one in reports] == ([] if has_begun else [True])
    ends.set()
    if has_begun:
        thread.join()
    start_table.close()


def test_what_comes_after_a_function_waits_for_all_of_its_shard_and_does_not_count() -> None:
    clock, all_out, start_table = FakeClock(T - SECOND), Latch(), StartTable.make()
    clock.pass_by(SECOND // 2)
    entered.clear()
    order: list[str] = []
    reports: list[AttemptResult] = []

    def report(finished: AttemptResult) -> None:
        order.append("reported")
        reports.append(finished)

    job = a_job(
        a_call(f"{__name__}:enters"), clock=clock, start_table=start_table, all_out=all_out, report=report
    )

    def run() -> None:
        job.arm(T)
        job.release(T)
        job.drain()

    thread = threading.Thread(target=run)
    thread.start()
    assert entered.wait(PATIENCE_S)
    thread.join(0.2)
    order.append("all out")
    clock.pass_by(5 * SECOND)
    all_out.open()
    thread.join(PATIENCE_S)
    start_table.close()
    assert order == ["all out", "reported"]
    assert reports[0].duration_ns == 0
    assert reports[0].body == b'"done"'
    assert reports[0].phases == {Phase.ARMED: T - SECOND // 2}
