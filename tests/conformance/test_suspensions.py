"""Suspensions: what the configuration suspends leaves the same trace as a pause."""

import pytest

from tests.support.fake_clock import FakeClock
from tests.support.ledgers import T, an_instance, claim, dues_of
from tests.support.scheduling import definitions_of
from tests.support.values import a_due, a_job
from tminus.daemon.attempts.recorder import Recorder
from tminus.daemon.batches.admission import admit, split_suspended
from tminus.daemon.processes.executors import Executors
from tminus.daemon.processes.job_requests import JobRequestHandler
from tminus.daemon.recovery import recover
from tminus.daemon.runtime import Runtime
from tminus.daemon.withholding import adopt_suspensions, find_suspensions
from tminus.instants import SECOND
from tminus.ledger import history, pauses, requests, schedules
from tminus.ledger.engine import Ledger
from tminus.ledger.requests import RequestKind
from tminus.model.batch import UnstartedResult
from tminus.model.definitions import Definitions
from tminus.model.job import Every, Job
from tminus.operations import resume as resuming
from tminus.operations.audit import audit
from tminus.outcome import Origin, Outcome
from tminus.policies.pause import Pause, PauseKind
from tminus.policies.withheld import Withheld
from tminus.release.gate import Gate

MINUTE = 60 * SECOND
SAYS = "suspended by configuration {} since 2025-11-20T11:30:00Z"


def pay(*, suspended: bool) -> Job:
    return a_job("pay", schedule=(Every(SECOND),), suspended=suspended)


def file(version: str, *jobs: Job) -> Definitions:
    found = definitions_of(*jobs)
    return Definitions(paths=found.paths, version=version, text="", zone="UTC", jobs=found.jobs)


ON, OFF = file("aaaaaaaaaaaa", pay(suspended=True)), file("bbbbbbbbbbbb", pay(suspended=False))


@pytest.fixture
def runtime(ledger: Ledger) -> Runtime:
    """A runtime of nothing but the ledger, at T."""
    clock = FakeClock(T)
    return Runtime(
        clock=clock,
        ledger=ledger,
        instance=an_instance(ledger),
        definitions=ON,
        executors=Executors(clock, job_requests=JobRequestHandler(ledger, clock=clock)),
        recorder=Recorder(ledger, gate=Gate(clock), clock=clock),
        gate=Gate(clock),
    )


def traces(ledger: Ledger) -> list[tuple[object, ...]]:
    with ledger.read() as connection:
        found = pauses.between(connection, since_ns=0, until_ns=T + 10**6 * SECOND)
    return [(one.job, one.pause.since_ns, one.pause.by, one.ended_ns, one.ended_by) for one in found]


def test_a_suspension_has_the_configurations_that_began_and_ended_it(runtime: Runtime) -> None:
    adopt_suspensions(runtime, ON, now_ns=T)
    changed = file("cccccccccccc", pay(suspended=True), a_job("pack"))
    adopt_suspensions(runtime, changed, now_ns=T + MINUTE)  # it stays suspended
    assert runtime.withheld.suspensions["pay"].by == "configuration aaaaaaaaaaaa"
    adopt_suspensions(runtime, OFF, now_ns=T + 2 * MINUTE)
    assert runtime.withheld.suspensions == {}
    assert traces(runtime.ledger) == [
        ("pay", T, "configuration aaaaaaaaaaaa", T + 2 * MINUTE, "configuration bbbbbbbbbbbb")
    ]


def test_resume_ends_no_suspension_and_the_file_ends_no_pause(runtime: Runtime) -> None:
    ledger = runtime.ledger
    adopt_suspensions(runtime, ON, now_ns=T)
    body = resuming.to_body(("pay",))
    request = requests.add_request(ledger, RequestKind.RESUME, body, now_ns=T + SECOND, by="bob@desk")
    answer = requests.take(
        ledger, request, instance=runtime.instance, execute=lambda to: resuming.accept(to, request, ON)
    )
    assert answer is not None
    assert answer["resumed"] == []
    with ledger.write() as connection:
        pauses.begin(connection, ["pay"], Pause(since_ns=T, until_ns=None, reason="", by="ann@desk"))
    adopt_suspensions(runtime, OFF, now_ns=T + MINUTE)
    with ledger.read() as connection:
        assert pauses.load(connection, suspensions=True) == {}
        assert pauses.load(connection)["pay"].kind is PauseKind.PAUSE


def test_a_claimed_occurrence_is_skipped_if_its_job_is_suspended_at_the_commit(runtime: Runtime) -> None:
    (due,) = dues_of("pay")
    claim(runtime.ledger, [due])
    assert admit(runtime, due) is None
    runtime.in_flight.end(due.id)
    adopt_suspensions(runtime, ON, now_ns=T)
    found = admit(runtime, due)
    assert isinstance(found, UnstartedResult)
    assert (found.outcome, found.reason) == (Outcome.SKIPPED, SAYS.format("aaaaaaaaaaaa"))


def test_fire_times_of_a_suspended_job_that_passed_in_a_stop_are_skipped(
    ledger: Ledger,
) -> None:
    recover(ledger, ON, since_ns=T, now_ns=T)
    later_ns = T + 10 * MINUTE
    withheld = Withheld(suspensions=find_suspensions(ON, {}, now_ns=T))
    recover(ledger, ON, since_ns=later_ns, now_ns=later_ns, withheld=withheld)
    missed = [one for one in history.find(ledger) if one.count > 1]
    assert [(one.outcome, one.reason) for one in missed] == [(Outcome.SKIPPED, SAYS.format("aaaaaaaaaaaa"))]


def test_a_suspended_job_is_accountable_for_its_fire_times(ledger: Ledger) -> None:
    recover(ledger, OFF, since_ns=T, now_ns=T)
    recover(ledger, ON, since_ns=T + SECOND, now_ns=T + SECOND)
    assert [one.until_ns for one in schedules.accounts(ledger)] == [None]


def test_audit_lists_the_pauses_and_suspensions_of_its_stretch(runtime: Runtime) -> None:
    adopt_suspensions(runtime, ON, now_ns=T)
    adopt_suspensions(runtime, OFF, now_ns=T + MINUTE)
    listed = audit(runtime.ledger, since_ns=T - MINUTE, until_ns=T + MINUTE, now_ns=T + MINUTE).as_json()
    assert listed["pauses"] == [
        {
            "job": "pay",
            "kind": "suspend",
            "since": "2025-11-20T11:30:00Z",
            "until": "2025-11-20T11:31:00Z",
            "by": "configuration aaaaaaaaaaaa",
            "ended_by": "configuration bbbbbbbbbbbb",
            "reason": "",
        }
    ]
    until_ns = T + 5 * MINUTE
    later = audit(runtime.ledger, since_ns=T + 2 * MINUTE, until_ns=until_ns, now_ns=until_ns)
    assert later.as_json()["pauses"] == []


def test_what_a_schedule_starts_is_skipped_and_what_people_start_is_not() -> None:
    suspensions = find_suspensions(ON, {}, now_ns=T)
    by_schedule, by_hand, other = (
        a_due(pay(suspended=True), fire_time_ns=T),
        a_due(pay(suspended=True), fire_time_ns=T, run=1, origin=Origin.MANUAL),
        a_due(a_job("pack"), fire_time_ns=T),
    )
    starting, skipped = split_suspended([by_schedule, by_hand, other], suspensions)
    assert starting == [by_hand, other]
    assert [(one.id, one.outcome) for one in skipped] == [(by_schedule.id, Outcome.SKIPPED)]
