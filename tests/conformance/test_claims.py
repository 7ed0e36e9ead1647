"""Who claims, owns; who is committed, may be sent; and nothing is either of them twice."""

import dataclasses
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import pytest

from scheduler.errors import LedgerError, UsageError
from scheduler.instants import LATEST_NS, MS, SECOND
from scheduler.ledger import claims, history, outcomes, requests
from scheduler.ledger.engine import Ledger
from scheduler.ledger.requests import Kind
from scheduler.ledger.tables import occurrences, releases
from scheduler.model.batch import Due
from scheduler.model.occurrence import OccurrenceId
from scheduler.outcome import Outcome, State
from tests.support.ledgers import T, an_instance, claim, commit, count, dues_of, full_url, let_go, opened, race_for, released
from tests.support.other_process import another_process
from tests.support.values import a_due, a_job, an_ending

Result = TypeVar("Result")


def ids(dues: Sequence[Due]) -> frozenset[OccurrenceId]:
    return frozenset(due.id for due in dues)


def written(dues: Sequence[Due]) -> list[Due]:
    """As they come back from the ledger after a restart."""
    return [dataclasses.replace(due, is_written=True) for due in dues]


def states(ledger: Ledger) -> dict[str, State]:
    return {one.id.job: one.state for one in history.find(ledger)}


def test_who_claims_first_owns_the_whole_batch(ledger: Ledger) -> None:
    dues = dues_of("pay", "pack", "ship")
    assert claim(ledger, dues).claimed == ids(dues)
    assert states(ledger) == {"pay": State.CLAIMED, "pack": State.CLAIMED, "ship": State.CLAIMED}


def test_a_claim_by_another_instance_gets_nothing_that_is_claimed(ledger: Ledger) -> None:
    claim(ledger, dues_of("pay", "pack"))
    assert claim(ledger, dues_of("pay", "pack", "ship")).claimed == ids(dues_of("ship"))


def test_a_claim_that_is_tried_again_after_an_unclear_commit_is_still_ours(ledger: Ledger) -> None:
    instance, dues = an_instance(ledger), dues_of("pay", "pack", "ship")
    claim(ledger, dues[2:])
    first = claim(ledger, dues, instance=instance, token="this")
    assert first.claimed == ids(dues[:2])
    assert claim(ledger, dues, instance=instance, token="this") == first
    assert commit(ledger, first) == ids(dues[:2])


@pytest.mark.parametrize("is_written", [False, True])
def test_a_second_countdown_of_the_same_process_takes_nothing_from_the_first(ledger: Ledger, is_written: bool) -> None:
    instance, dues = an_instance(ledger), dues_of("pay", "pack")
    first = claim(ledger, dues, instance=instance)
    assert claim(ledger, written(dues) if is_written else dues, instance=instance).claimed == frozenset()
    assert commit(ledger, first) == ids(dues)


@pytest.mark.parametrize("jobs", [0, 3])
def test_a_claim_that_breaks_in_the_middle_leaves_nothing(ledger: Ledger, jobs: int) -> None:
    (broken,) = dues_of("of_no_version", config_version=None)
    with pytest.raises(LedgerError):
        claim(ledger, [*dues_of(*(f"job_{index}" for index in range(jobs))), broken], instance=an_instance(ledger))
    assert (count(ledger, occurrences), count(ledger, releases)) == (0, 0)


def test_a_claim_by_an_instance_that_nobody_knows_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError):
        claim(ledger, dues_of("pay"), instance="nobody")
    assert count(ledger, occurrences) == 0


@pytest.mark.parametrize(
    ("other", "is_the_same"),
    [
        pytest.param(a_due(a_job("pay"), fire_time_ns=T), True, id="the-same"),
        pytest.param(a_due(a_job("pay"), fire_time_ns=T, planned_at_ns=T + SECOND), True, id="planned-later"),
        pytest.param(a_due(a_job("pay"), fire_time_ns=T, config_version="another"), True, id="by-another-definition"),
        pytest.param(a_due(a_job("pack"), fire_time_ns=T), False, id="another-job"),
        pytest.param(a_due(a_job("Pay"), fire_time_ns=T), False, id="another-case"),
        pytest.param(a_due(a_job("pay"), fire_time_ns=T + 1), False, id="a-nanosecond-later"),
        pytest.param(a_due(a_job("pay"), fire_time_ns=T, run=1), False, id="run-again"),
    ],
)
def test_an_occurrence_is_a_job_at_a_fire_time_and_a_run(ledger: Ledger, other: Due, is_the_same: bool) -> None:
    claim(ledger, [a_due(a_job("pay"), fire_time_ns=T)])
    assert (other.id not in claim(ledger, [other]).claimed) is is_the_same


def test_a_claim_alone_has_sent_nothing(ledger: Ledger) -> None:
    claim(ledger, dues_of("pay"))
    assert released(ledger) == set()
    assert [one.state for one in history.unfinished(ledger)] == [State.CLAIMED]


def test_who_is_committed_is_written_down_as_running_before_t(ledger: Ledger) -> None:
    dues = dues_of("pay", "pack")
    release = claim(ledger, dues)
    assert claims.commit(ledger, release, withdrawn=[], now_ns=T - 250 * MS) == ids(dues)
    with opened(full_url(ledger.url)) as other:
        assert released(other) == {T}
        assert {one.state for one in history.unfinished(other)} == {State.RUNNING}


def test_who_is_withdrawn_at_the_commit_does_not_start(ledger: Ledger) -> None:
    pay, pack = dues_of("pay", "pack")
    release = claim(ledger, [pay, pack])
    assert commit(ledger, release, withdrawn=[pay.ends(Outcome.SKIPPED, "overlap: it is still running")]) == {pack.id}
    (skipped,) = history.of_ids(ledger, [pay.id])
    assert (skipped.state, skipped.outcome, skipped.reason) == (State.FINISHED, Outcome.SKIPPED, "overlap: it is still running")


def test_a_commit_that_is_tried_again_says_the_same(ledger: Ledger) -> None:
    pay, pack = dues_of("pay", "pack")
    release, withdrawn = claim(ledger, [pay, pack]), [pay.ends(Outcome.CANCELLED, "the job was deleted")]
    assert commit(ledger, release, withdrawn=withdrawn) == commit(ledger, release, withdrawn=withdrawn) == {pack.id}


def test_what_a_dead_instance_has_claimed_is_taken_over(ledger: Ledger) -> None:
    dues = dues_of("pay", "pack")
    dead = claim(ledger, dues)
    assert claim(ledger, written(dues)).claimed == ids(dues)
    assert commit(ledger, dead) == frozenset(), "the fence: it belongs to the release that claimed it last"


def test_what_a_dead_instance_has_released_is_not_taken_over(ledger: Ledger) -> None:
    dues = let_go(ledger, "pay", "pack")
    assert claim(ledger, written(dues)).claimed == frozenset()


def test_what_has_ended_is_not_taken_over(ledger: Ledger) -> None:
    pay, pack = dues_of("pay", "pack")
    claim(ledger, [pay, pack])
    outcomes.decide(ledger, [pay.ends(Outcome.MISSED, "too late")], now_ns=T)
    assert claim(ledger, written([pay, pack])).claimed == {pack.id}


def test_who_has_lost_its_claim_cannot_end_what_another_runs(ledger: Ledger) -> None:
    (pay,) = dues_of("pay")
    slow = claim(ledger, [pay])
    commit(ledger, claim(ledger, written([pay])))
    assert commit(ledger, slow, withdrawn=[pay.ends(Outcome.SKIPPED, "overlap")]) == frozenset()
    (running,) = history.of_ids(ledger, [pay.id])
    assert (running.state, running.outcome) == (State.RUNNING, None)


def test_what_is_queued_is_claimed_once(ledger: Ledger) -> None:
    dues = written(dues_of("pay", "pack"))
    assert _queue(ledger, dues)
    assert states(ledger) == {"pay": State.QUEUED, "pack": State.QUEUED}
    assert claim(ledger, dues).claimed == ids(dues)
    assert states(ledger) == {"pay": State.CLAIMED, "pack": State.CLAIMED}


def test_queuing_beside_one_that_is_there_writes_nothing(ledger: Ledger) -> None:
    claim(ledger, dues_of("pay"))
    assert not _queue(ledger, dues_of("pack", "pay"))
    assert states(ledger) == {"pay": State.CLAIMED}


def test_a_t_that_no_ledger_can_hold_is_refused(ledger: Ledger) -> None:
    dues = dues_of("pay", planned_at_ns=LATEST_NS + 1)
    with pytest.raises(UsageError, match="T is too far away"):
        _queue(ledger, dues)
    assert count(ledger, occurrences) == 0


def test_a_request_for_more_jobs_than_a_statement_has_variables_is_queued(ledger: Ledger) -> None:
    dues = dues_of(*(f"job_{index:05d}" for index in range(11_000)))
    assert _queue(ledger, dues)
    assert len(history.of_ids(ledger, [due.id for due in dues])) == 11_000


def test_of_many_threads_that_claim_the_same_each_occurrence_goes_to_one(ledger: Ledger) -> None:
    names = [f"job_{index}" for index in range(20)]
    instances = [an_instance(ledger) for _ in range(4)]
    for number in range(5):
        dues = dues_of(*names, fire_time_ns=T + number * SECOND)
        got = _all_at_once([partial(claim, ledger, dues, instance=instance) for instance in instances])
        assert Counter(one for release in got for one in release.claimed) == Counter(ids(dues))


def test_of_many_processes_that_claim_the_same_each_occurrence_goes_to_one(ledger: Ledger) -> None:
    names, rounds, url = [f"job_{index}" for index in range(10)], 10, full_url(ledger.url)
    with (
        another_process(race_for, url, names, rounds) as one,
        another_process(race_for, url, names[::-1], rounds) as another,
    ):
        for process in (one, another):
            assert process.hears() == "ready"
        for process in (one, another):
            process.tell("go")
        got = Counter([*one.hears(), *another.hears()])
    all_of_them = [str(due.id) for number in range(rounds) for due in dues_of(*names, fire_time_ns=T + number * SECOND)]
    assert got == Counter(all_of_them)


def test_a_commit_and_a_take_over_at_the_same_moment_never_both_start_an_occurrence(ledger: Ledger) -> None:
    slow, fast = an_instance(ledger), an_instance(ledger)
    for number in range(20):
        dues = dues_of(*(f"job_{index}" for index in range(5)), fire_time_ns=T + number * SECOND)
        release = claim(ledger, dues, instance=slow)

        def take_over(dues: Sequence[Due] = dues) -> frozenset[OccurrenceId]:
            return commit(ledger, claim(ledger, written(dues), instance=fast))

        go_on: Callable[[], frozenset[OccurrenceId]] = partial(commit, ledger, release)
        started = Counter(one for may_start in _all_at_once([go_on, take_over]) for one in may_start)
        assert started == Counter(ids(dues))


def test_of_a_run_and_a_miss_at_the_same_moment_one_wins(ledger: Ledger) -> None:
    fast = an_instance(ledger)
    for number in range(10):
        (pay,) = dues_of("pay", fire_time_ns=T + number * SECOND)
        claim(ledger, [pay])

        def run(due: Due = pay) -> None:
            if commit(ledger, claim(ledger, written([due]), instance=fast)):
                outcomes.record(ledger, [an_ending(due)])

        def give_up(due: Due = pay) -> None:
            outcomes.decide(ledger, [due.ends(Outcome.MISSED, "too late")], now_ns=T)

        _all_at_once([run, give_up])
        (ended,) = history.of_ids(ledger, [pay.id])
        assert (ended.outcome, ended.attempts) in {(Outcome.SUCCEEDED, 1), (Outcome.MISSED, 0)}
        assert len(history.attempts_of(ledger, pay.id)) == ended.attempts


def _all_at_once(actions: Sequence[Callable[[], Result]]) -> list[Result]:
    together = threading.Barrier(len(actions))

    def act(action: Callable[[], Result]) -> Result:
        together.wait(60)
        return action()

    with ThreadPoolExecutor(len(actions), thread_name_prefix="racer") as pool:
        return list(pool.map(act, actions))


def _queue(ledger: Ledger, dues: Sequence[Due]) -> bool:
    request = requests.ask(ledger, Kind.RUN_NOW, {}, now_ns=T)
    with ledger.write() as connection:
        return claims.queue(connection, dues, request=request.id)
