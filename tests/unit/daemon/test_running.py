"""Who runs decides who may start: overlap, at the commit."""

from scheduler.daemon.running import Running
from scheduler.policies.overlap import Overlap
from tests.support.values import a_due, a_job


def test_at_the_limit_the_next_one_is_refused_and_told_what_is_in_its_way() -> None:
    running = Running()
    first, second = a_due(fire_time_ns=1), a_due(fire_time_ns=2)
    assert running.admit(first) is None
    assert running.admit(second) is first
    running.end(first.id)
    assert running.admit(second) is None


def test_two_of_one_job_in_one_batch_count_too() -> None:
    running, job = Running(), a_job(max_instances=2)
    dues = [a_due(job, fire_time_ns=number) for number in range(3)]
    assert [running.admit(due) for due in dues] == [None, None, dues[0]]
    assert len(running) == 2


def test_an_occurrence_is_not_in_its_own_way() -> None:
    running, due = Running(), a_due(fire_time_ns=1)
    assert [running.admit(due), running.admit(due)] == [None, None]
    assert len(running) == 1


def test_allow_all_knows_no_limit() -> None:
    running, job = Running(), a_job(overlap=Overlap.ALLOW_ALL)
    assert [running.admit(a_due(job, fire_time_ns=number)) for number in range(9)] == [None] * 9


def test_other_jobs_are_in_nobodys_way() -> None:
    running = Running()
    running.admit(a_due(a_job("pay"), fire_time_ns=1))
    assert running.admit(a_due(a_job("pack"), fire_time_ns=1)) is None
