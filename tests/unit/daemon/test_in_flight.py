"""The occurrences in flight decide, at the commit, which further ones start, wait or are skipped."""

from tests.support.values import a_due, a_job
from tminus.daemon.attempts.in_flight import InFlight, Ruling
from tminus.policies.overlap import Overlap, OverlapDecision

START, WAIT, SKIP = OverlapDecision.START, OverlapDecision.WAIT, OverlapDecision.SKIP


def test_at_the_limit_the_next_one_is_refused_and_told_what_is_in_its_way() -> None:
    running = InFlight()
    first, second = a_due(fire_time_ns=1), a_due(fire_time_ns=2)
    assert running.admit(first) == Ruling(START, None)
    assert running.admit(second) == Ruling(SKIP, first)
    running.end(first.id)
    assert running.admit(second) == Ruling(START, None)


def test_two_of_one_job_in_one_batch_count_too() -> None:
    running, job = InFlight(), a_job(max_instances=2)
    due_occurrences = [a_due(job, fire_time_ns=number) for number in range(3)]
    assert [running.admit(due).decision for due in due_occurrences] == [START, START, SKIP]
    assert len(running) == 2


def test_an_occurrence_is_not_in_its_own_way() -> None:
    running, due = InFlight(), a_due(fire_time_ns=1)
    assert [running.admit(due).decision, running.admit(due).decision] == [START, START]
    assert len(running) == 1


def test_allow_all_knows_no_limit() -> None:
    running, job = InFlight(), a_job(overlap=Overlap.ALLOW_ALL)
    assert [running.admit(a_due(job, fire_time_ns=number)).decision for number in range(9)] == [START] * 9


def test_other_jobs_are_in_nobodys_way() -> None:
    running = InFlight()
    running.admit(a_due(a_job("pay"), fire_time_ns=1))
    assert running.admit(a_due(a_job("pack"), fire_time_ns=1)).decision is START


def test_buffer_one_lets_one_wait_and_skips_the_next_until_that_one_has_started() -> None:
    running, job = InFlight(), a_job(overlap=Overlap.BUFFER_ONE)
    first, second, third, fourth = (a_due(job, fire_time_ns=number) for number in range(4))
    assert [running.admit(due).decision for due in (first, second, third)] == [START, WAIT, SKIP]
    running.end(first.id)
    assert running.admit(a_due(job, fire_time_ns=1, room_at_ns=5)).decision is START
    assert running.admit(fourth).decision is WAIT


def test_what_waits_is_not_overtaken() -> None:
    running, job = InFlight(), a_job(overlap=Overlap.BUFFER_ALL)
    first, second, third = (a_due(job, fire_time_ns=number) for number in range(3))
    running.admit(first)
    running.admit(second)
    running.end(first.id)
    assert running.admit(third).decision is WAIT
    running.end(second.id)
    assert running.admit(a_due(job, fire_time_ns=2, room_at_ns=5)).decision is START


def test_what_an_earlier_process_has_let_wait_counts() -> None:
    running, job = InFlight(), a_job(overlap=Overlap.BUFFER_ONE)
    running.add_waiting(a_due(job, fire_time_ns=1))
    assert running.admit(a_due(job, fire_time_ns=2)).decision is SKIP


def test_cancel_other_cancels_as_many_as_are_in_the_way_and_what_waits() -> None:
    running, job = InFlight(), a_job(overlap=Overlap.CANCEL_OTHER, max_instances=2)
    first, second, third, fourth = (a_due(job, fire_time_ns=number) for number in range(4))
    assert [running.admit(due).decision for due in (first, second)] == [START, START]
    assert running.admit(third) == Ruling(OverlapDecision.CANCEL, first, [first])
    assert running.admit(fourth) == Ruling(OverlapDecision.CANCEL, first, [first, third])
    running.end(first.id)
    running.end(third.id)
    assert running.admit(a_due(job, fire_time_ns=3, room_at_ns=5)).decision is START
