"""The backlog: what waits for room starts in the order of the fire times, and never more than there is room."""

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import eventually
from tests.support.fake_clock import FakeClock
from tests.support.ledgers import T, an_instance
from tests.support.new_ledgers import new_ledger
from tests.support.scheduling import definitions_of
from tests.support.values import a_due, a_job
from tminus.clock import Clock, SystemClock
from tminus.daemon.attempts.recorder import Recorder
from tminus.daemon.batches.backlog import MOST_AT_ONCE, Backlog
from tminus.daemon.processes.executors import Executors
from tminus.daemon.processes.job_requests import JobRequestHandler
from tminus.daemon.runtime import Runtime
from tminus.errors import LedgerError
from tminus.instants import SECOND
from tminus.ledger import claims, history
from tminus.model.batch import DueOccurrence
from tminus.model.job import Cron, Every, Job
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import OccurrenceState, Origin, Outcome
from tminus.policies.overlap import Overlap, OverlapDecision
from tminus.release.gate import Gate

SCHEDULE = (Every(SECOND),)


def a_catch_up(job: Job, number: int, **different: Any) -> DueOccurrence:
    given: dict[str, Any] = {"origin": Origin.CATCH_UP, "planned_at_ns": T, "room_at_ns": T, **different}
    return a_due(job, fire_time_ns=T - 1000 * SECOND + number * SECOND, **given)


class Running:
    """A backlog that has started; what it launches is admitted at once, and ends when the test says so."""

    def __init__(self, folder: Path, *jobs: Job, clock: Clock) -> None:
        self.ledger = new_ledger(folder)
        self.runtime = Runtime(
            clock=clock,
            ledger=self.ledger,
            instance=an_instance(self.ledger),
            definitions=definitions_of(*jobs),
            executors=Executors(clock, job_requests=JobRequestHandler(self.ledger, clock=clock)),
            recorder=Recorder(self.ledger, gate=Gate(clock), clock=clock),
            gate=Gate(clock),
        )
        self.launched: queue.SimpleQueue[DueOccurrence] = queue.SimpleQueue()
        self.backlog = Backlog(self.runtime, on_due=self._launch)
        self.runtime.in_flight.on_end = self.backlog.end

    def _launch(self, due_occurrences: Any) -> None:
        for due in due_occurrences:
            assert self.runtime.in_flight.admit(due).decision is OverlapDecision.START
            self.launched.put(due)

    def next(self) -> DueOccurrence:
        return self.launched.get(timeout=30)


@contextmanager
def running(folder: Path, *jobs: Job, clock: Clock | None = None) -> Iterator[Running]:
    found = Running(folder, *jobs, clock=clock or SystemClock())
    found.runtime.recorder.start()
    try:
        yield found
    finally:
        found.backlog.stop(30)
        found.runtime.recorder.stop(30)
        found.ledger.close()


def test_catch_ups_of_a_job_start_one_after_another_in_their_order(tmp_path: Path) -> None:
    job = a_job(schedule=SCHEDULE)
    with running(tmp_path, job) as found:
        found.backlog.add(a_catch_up(job, number) for number in (2, 0, 1))
        found.backlog.start()
        for number in range(3):
            due = found.next()
            assert due.id == a_catch_up(job, number).id
            assert due.planned_at_ns == due.release_at_ns > T
            assert len(found.runtime.in_flight) == 1
            found.runtime.in_flight.end(due.id)


def test_what_waits_is_queued_in_the_ledger_and_no_longer_undecided(tmp_path: Path) -> None:
    job = a_job(schedule=SCHEDULE)
    with running(tmp_path, job) as found:
        waiting = [a_catch_up(job, number) for number in range(3)]
        found.runtime.recorder.undecided.add(due.id for due in waiting)
        found.backlog.add(waiting)
        found.backlog.start()
        found.next()
        assert found.runtime.recorder.undecided.first() is None
        rows = history.find(found.ledger)
        assert {row.id for row in rows} == {due.id for due in waiting}
        assert {(row.state, row.origin, row.buffered_ns) for row in rows} == {
            (OccurrenceState.QUEUED, Origin.CATCH_UP, T)
        }


def test_what_a_commit_has_held_back_is_claimed_as_a_row_that_exists(tmp_path: Path) -> None:
    job = a_job(schedule=SCHEDULE)
    with running(tmp_path, job) as found:
        found.backlog.hold([a_due(job, fire_time_ns=T)])
        found.backlog.start()
        assert found.next().is_written


def test_a_hundred_jobs_start_no_more_catch_ups_than_the_limit(tmp_path: Path) -> None:
    jobs = [a_job(f"job_{number}", schedule=SCHEDULE) for number in range(MOST_AT_ONCE * 2)]
    with running(tmp_path, *jobs) as found:
        found.backlog.add(a_catch_up(job, number) for number, job in enumerate(jobs))
        found.backlog.start()
        first = [found.next() for _ in range(MOST_AT_ONCE)]
        assert [due.job for due in first] == jobs[:MOST_AT_ONCE]
        assert len(found.backlog) == MOST_AT_ONCE
        found.runtime.in_flight.end(first[7].id)
        assert found.next().job == jobs[MOST_AT_ONCE]


def test_a_job_that_may_overlap_waits_only_for_the_limit(tmp_path: Path) -> None:
    job = a_job(schedule=SCHEDULE, overlap=Overlap.ALLOW_ALL)
    with running(tmp_path, job) as found:
        found.backlog.add(a_catch_up(job, number) for number in range(5))
        found.backlog.start()
        assert [found.next().id for _ in range(5)] == [a_catch_up(job, number).id for number in range(5)]


def test_a_catch_up_does_not_start_before_its_fire_time_if_the_clock_was_set_back(tmp_path: Path) -> None:
    job, other = a_job(schedule=SCHEDULE), a_job("other", schedule=SCHEDULE)
    clock = FakeClock(T)
    with running(tmp_path, job, other, clock=clock) as found:
        clock.step_wall(-990 * SECOND)
        found.backlog.add([a_catch_up(job, 11), a_catch_up(other, 10)])
        found.backlog.start()
        assert found.next().job == other
        assert found.launched.empty()
        clock.step_wall(SECOND)
        assert found.next().job == job


def test_what_was_held_shortly_before_its_fire_time_starts_as_soon_as_there_is_room(tmp_path: Path) -> None:
    job, clock = a_job(schedule=SCHEDULE), FakeClock(T)
    with running(tmp_path, job, clock=clock) as found:
        earlier = a_due(job, fire_time_ns=T - SECOND)
        found.runtime.in_flight.add_retry(earlier)
        found.backlog.hold([a_due(job, fire_time_ns=T + SECOND // 5)])
        found.backlog.start()
        found.runtime.in_flight.end(earlier.id)
        assert found.next().id.fire_time_ns == T + SECOND // 5


def test_what_runs_already_takes_the_room(tmp_path: Path) -> None:
    job, other = a_job(schedule=SCHEDULE), a_job("other", schedule=SCHEDULE)
    with running(tmp_path, job, other) as found:
        scheduled = a_due(job, fire_time_ns=T)
        found.runtime.in_flight.admit(scheduled)
        found.backlog.add([a_catch_up(job, 1), a_catch_up(other, 2)])
        found.backlog.start()
        assert found.next().job == other
        found.runtime.in_flight.end(scheduled.id)
        assert found.next().job == job


def _ends(found: Running, job: Job, definitions: Callable[[], Any]) -> str | None:
    found.backlog.add([a_catch_up(job, 1)])
    found.runtime.definitions = definitions()
    found.backlog.start()

    def has_ended() -> bool:
        return any(row.outcome for row in history.find(found.ledger))

    eventually(has_ended, what="it ends")
    (row,) = history.find(found.ledger)
    assert row.outcome is Outcome.CANCELLED
    return row.reason


def test_a_job_that_a_reload_has_deleted_starts_nothing(tmp_path: Path) -> None:
    job = a_job(schedule=SCHEDULE)
    with running(tmp_path, job) as found:
        assert _ends(found, job, definitions_of) == "the job was deleted from the jobs file"


def test_a_job_without_a_schedule_after_a_reload_starts_nothing(tmp_path: Path) -> None:
    job = a_job(schedule=SCHEDULE)
    with running(tmp_path, job) as found:
        reason = _ends(found, job, lambda: definitions_of(a_job()))
        assert reason == "the job has no schedule any more"


def test_what_waits_runs_by_the_definition_in_force_and_its_row_says_so(tmp_path: Path) -> None:
    job, changed = a_job(schedule=SCHEDULE), a_job(schedule=SCHEDULE, description="mended")
    with running(tmp_path, job) as found:
        found.backlog.add([a_catch_up(job, 1, config_version="old")])
        found.runtime.definitions = definitions_of(changed)
        found.backlog.start()
        assert found.next().job == changed
        (row,) = history.find(found.ledger)
        assert row.config_version == found.runtime.definitions.version


def test_what_has_waited_past_its_not_after_is_missed(tmp_path: Path) -> None:
    job = a_job(schedule=SCHEDULE, not_after=Cron("0 0 0 * * *", "UTC"))
    with running(tmp_path, job) as found:
        found.backlog.add([a_catch_up(job, 1)])
        found.backlog.start()

        def has_ended() -> bool:
            return any(row.outcome is Outcome.MISSED for row in history.find(found.ledger))

        eventually(has_ended, what="it is missed")


def test_what_has_ended_is_not_decided_again_if_the_ledger_refuses_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = a_job("late", schedule=SCHEDULE, not_after=Cron("0 0 0 * * *", "UTC"))
    job = a_job(schedule=SCHEDULE)
    renew, errors, ended = claims.renew, [LedgerError("it is locked")], list[OccurrenceId]()

    def refuses_once(*arguments: Any, **more: Any) -> None:
        if errors:
            raise errors.pop()
        renew(*arguments, **more)

    monkeypatch.setattr(claims, "renew", refuses_once)
    with running(tmp_path, late, job) as found:
        monkeypatch.setattr(found.runtime.recorder, "put", lambda item: ended.append(item.id))
        waiting = [a_catch_up(late, 1), a_catch_up(job, 2)]
        found.backlog.add(waiting)
        found.backlog.start()
        assert found.next().id == waiting[1].id
    assert (ended, errors) == ([waiting[0].id], [])


def test_what_is_taken_out_does_not_start(tmp_path: Path) -> None:
    job = a_job(schedule=SCHEDULE)
    with running(tmp_path, job) as found:
        found.backlog.add(a_catch_up(job, number) for number in range(3))
        taken = found.backlog.take_out(a_catch_up(job, 0).id)
        assert taken is not None
        assert taken.id == a_catch_up(job, 0).id
        found.backlog.start()
        second = found.next()
        assert second.id == a_catch_up(job, 1).id
        assert found.backlog.take_out(second.id) is None
        assert found.backlog.take_out(a_catch_up(job, 2).id) is not None
        assert len(found.backlog) == 0
