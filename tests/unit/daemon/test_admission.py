"""Who of a batch does not start after all, and whether the reason is true."""

from pathlib import Path

from scheduler.daemon.admission import decide
from scheduler.daemon.executors import Executors
from scheduler.daemon.handovers import Handovers
from scheduler.daemon.recorder import Recorder
from scheduler.daemon.station import Station
from scheduler.instants import MS, SECOND
from scheduler.ledger.engine import open_ledger
from scheduler.model.definitions import Definitions
from scheduler.outcome import Outcome
from scheduler.release.gate import Gate
from tests.support.fake_clock import FakeClock
from tests.support.values import a_due, a_job

T = 1_700_000_000 * SECOND


def test_of_two_that_are_due_within_one_commit_the_second_is_told_truly_what_the_first_does(tmp_path: Path) -> None:
    """Both are decided before the first one's T: it is not running yet."""
    clock, job, ledger = FakeClock(T - 250 * MS), a_job("pay"), open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    station = Station(
        clock=clock,
        ledger=ledger,
        instance="",
        definitions=Definitions(paths=("jobs.yaml",), version="", text="", zone="UTC", jobs={"pay": job}),
        executors=Executors(clock, handovers=Handovers(ledger, clock=clock)),
        recorder=Recorder(ledger, gate=Gate(clock), clock=clock),
        gate=Gate(clock),
    )
    first, *others = (a_due(job, fire_time_ns=T + number * 100 * MS) for number in range(3))
    assert decide(station, first) is None
    early = decide(station, others[0])
    clock.pass_by(250 * MS)
    late = decide(station, others[1])
    assert early is not None
    assert late is not None
    assert (early.outcome, late.outcome) == (Outcome.SKIPPED, Outcome.SKIPPED)
    assert early.reason == f"overlap: {first.id} is to start at 2023-11-14T22:13:20Z (max_instances 1)"
    assert late.reason == f"overlap: {first.id} is still running (max_instances 1)"
    station.running.end(first.id)
    assert decide(station, others[1]) is None
    ledger.close()
