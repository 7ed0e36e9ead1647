"""The thread of one Python job: what it does when, beside the others of its shard."""

import threading
from collections.abc import Callable

import pytest

from scheduler.clock import Clock
from scheduler.executors.python.board import Board
from scheduler.executors.python.job import Job
from scheduler.executors.python.loading import Loader
from scheduler.executors.python.wire import Finished, Work
from scheduler.instants import SECOND
from scheduler.release.gate import Gate
from scheduler.release.latch import Latch
from tests.support.fake_clock import FakeClock
from tests.support.runner import a_call

T = 1_700_000_010 * SECOND

entered, ends = threading.Event(), threading.Event()


def enters() -> str:
    """The function of the job."""
    entered.set()
    return "done"


def goes_on() -> None:
    """The function of a job that goes on until it is told to end."""
    entered.set()
    ends.wait(20)


def a_job(work: Work, *, clock: Clock, board: Board, all_out: Latch, report: Callable[[Finished], None]) -> Job:
    """The only job of its shard."""
    return Job(
        work,
        None,
        slot=0,
        board=board,
        clock=clock,
        gate=Gate(clock),
        loader=Loader(),
        shard=1,
        all_out=all_out,
        report=report,
    )


@pytest.mark.parametrize("has_begun", [True, False])
def test_a_job_is_written_off_as_late_unless_it_has_begun(*, has_begun: bool) -> None:
    clock, all_out, board = FakeClock(T - SECOND), Latch(), Board.make()
    clock.pass_by(SECOND)
    all_out.open()
    reports: list[Finished] = []
    job = a_job(a_call(f"{__name__}:goes_on", latest_ns=T), clock=clock, board=board, all_out=all_out, report=reports.append)
    entered.clear()
    ends.clear()
    job.go(T)
    thread = threading.Thread(target=job.drain)
    if has_begun:
        thread.start()
        assert entered.wait(20)
    clock.pass_by(1)
    assert job.write_off_late() is not has_begun
    assert [one.late for one in reports] == ([] if has_begun else [True])
    ends.set()
    if has_begun:
        thread.join()
    board.close()


def test_what_comes_after_a_function_waits_until_all_of_its_shard_are_out_and_does_not_count() -> None:
    clock, all_out, board = FakeClock(T - SECOND), Latch(), Board.make()
    clock.pass_by(SECOND // 2)
    entered.clear()
    order: list[str] = []
    reports: list[Finished] = []

    def report(finished: Finished) -> None:
        order.append("reported")
        reports.append(finished)

    job = a_job(a_call(f"{__name__}:enters"), clock=clock, board=board, all_out=all_out, report=report)

    def run() -> None:
        job.arm(T)
        job.go(T)
        job.drain()

    thread = threading.Thread(target=run)
    thread.start()
    assert entered.wait(20)
    thread.join(0.2)
    order.append("all out")
    clock.pass_by(5 * SECOND)
    all_out.open()
    thread.join(20)
    board.close()
    assert order == ["all out", "reported"]
    assert reports[0].duration_ns == 0
    assert reports[0].body == b'"done"'
