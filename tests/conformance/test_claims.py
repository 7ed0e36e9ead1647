"""Claims and commits: an occurrence has one owner, and is committed once."""

import dataclasses
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import pytest

from tests.support.ledgers import (
    T,
    an_instance,
    claim,
    commit,
    count,
    dues_of,
    full_url,
    let_go,
    opened,
    race_for,
    released,
)
from tests.support.moments import PATIENCE_S
from tests.support.other_process import another_process
from tests.support.values import a_due, a_job, an_ending
from tminus.errors import LedgerError, UsageError
from tminus.instants import LATEST_NS, MS, SECOND
from tminus.ledger import claims, history, outcomes, requests
from tminus.ledger.engine import Ledger
from tminus.ledger.requests import RequestKind
from tminus.ledger.tables import occurrences, releases
from tminus.model.batch import DueOccurrence
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import OccurrenceState, Outcome

Result = TypeVar("Result")


def ids(due_occurrences: Sequence[DueOccurrence]) -> frozenset[OccurrenceId]:
    return frozenset(due.id for due in due_occurrences)


def written(due_occurrences: Sequence[DueOccurrence]) -> list[DueOccurrence]:
    """As they come back from the ledger after a restart."""
    return [dataclasses.replace(due, is_written=True) for due in due_occurrences]


def states(ledger: Ledger) -> dict[str, OccurrenceState]:
    return {one.id.job: one.state for one in history.find(ledger)}


def test_who_claims_first_owns_the_whole_batch(ledger: Ledger) -> None:
    due_occurrences = dues_of("pay", "pack", "ship")
    assert claim(ledger, due_occurrences).claimed == ids(due_occurrences)
    assert states(ledger) == {
        "pay": OccurrenceState.CLAIMED,
        "pack": OccurrenceState.CLAIMED,
        "ship": OccurrenceState.CLAIMED,
    }


def test_a_claim_by_another_instance_gets_nothing_that_is_claimed(ledger: Ledger) -> None:
    claim(ledger, dues_of("pay", "pack"))
    assert claim(ledger, dues_of("pay", "pack", "ship")).claimed == ids(dues_of("ship"))


def test_a_claim_that_is_tried_again_after_an_unclear_commit_is_still_ours(ledger: Ledger) -> None:
    instance, due_occurrences = an_instance(ledger), dues_of("pay", "pack", "ship")
    claim(ledger, due_occurrences[2:])
    first = claim(ledger, due_occurrences, instance=instance, token="this")
    assert first.claimed == ids(due_occurrences[:2])
    assert claim(ledger, due_occurrences, instance=instance, token="this") == first
    assert commit(ledger, first) == ids(due_occurrences[:2])


@pytest.mark.parametrize("is_written", [False, True])
def test_a_second_countdown_of_the_same_process_takes_nothing_from_the_first(
    ledger: Ledger, is_written: bool
) -> None:
    instance, due_occurrences = an_instance(ledger), dues_of("pay", "pack")
    first = claim(ledger, due_occurrences, instance=instance)
    assert (
        claim(ledger, written(due_occurrences) if is_written else due_occurrences, instance=instance).claimed
        == frozenset()
    )
    assert commit(ledger, first) == ids(due_occurrences)


@pytest.mark.parametrize("jobs", [0, 3])
def test_a_claim_that_breaks_in_the_middle_leaves_nothing(ledger: Ledger, jobs: int) -> None:
    (broken,) = dues_of("of_no_version", config_version=None)
    with pytest.raises(LedgerError):
        claim(
            ledger,
            [*dues_of(*(f"job_{index}" for index in range(jobs))), broken],
            instance=an_instance(ledger),
        )
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
        pytest.param(
            a_due(a_job("pay"), fire_time_ns=T, config_version="another"), True, id="by-another-definition"
        ),
        pytest.param(a_due(a_job("pack"), fire_time_ns=T), False, id="another-job"),
        pytest.param(a_due(a_job("Pay"), fire_time_ns=T), False, id="another-case"),
        pytest.param(a_due(a_job("pay"), fire_time_ns=T + 1), False, id="a-nanosecond-later"),
        pytest.param(a_due(a_job("pay"), fire_time_ns=T, run=1), False, id="run-again"),
    ],
)
def test_an_occurrence_is_a_job_at_a_fire_time_and_a_run(
    ledger: Ledger, other: DueOccurrence, is_the_same: bool
) -> None:
    claim(ledger, [a_due(a_job("pay"), fire_time_ns=T)])
    assert (other.id not in claim(ledger, [other]).claimed) is is_the_same


def test_a_claim_alone_has_sent_nothing(ledger: Ledger) -> None:
    claim(ledger, dues_of("pay"))
    assert released(ledger) == set()
    assert [one.state for one in history.unfinished(ledger)] == [OccurrenceState.CLAIMED]


def test_who_is_committed_is_written_down_as_running_before_t(ledger: Ledger) -> None:
    due_occurrences = dues_of("pay", "pack")
    release = claim(ledger, due_occurrences)
    assert claims.commit(ledger, release, withdrawn=[], now_ns=T - 250 * MS) == ids(due_occurrences)
    with opened(full_url(ledger.url)) as other:
        assert released(other) == {T}
        assert {one.state for one in history.unfinished(other)} == {OccurrenceState.RUNNING}


def test_who_is_withdrawn_at_the_commit_does_not_start(ledger: Ledger) -> None:
    pay, pack = dues_of("pay", "pack")
    release = claim(ledger, [pay, pack])
    assert commit(ledger, release, withdrawn=[pay.ends(Outcome.SKIPPED, "overlap: it is still running")]) == {
        pack.id
    }
    (skipped,) = history.find_by_ids(ledger, [pay.id])
    assert (skipped.state, skipped.outcome, skipped.reason) == (
        OccurrenceState.FINISHED,
        Outcome.SKIPPED,
        "overlap: it is still running",
    )


def test_a_commit_that_is_tried_again_says_the_same(ledger: Ledger) -> None:
    pay, pack = dues_of("pay", "pack")
    release, withdrawn = claim(ledger, [pay, pack]), [pay.ends(Outcome.CANCELLED, "the job was deleted")]
    assert (
        commit(ledger, release, withdrawn=withdrawn)
        == commit(ledger, release, withdrawn=withdrawn)
        == {pack.id}
    )


def test_what_a_dead_instance_has_claimed_is_taken_over(ledger: Ledger) -> None:
    due_occurrences = dues_of("pay", "pack")
    dead = claim(ledger, due_occurrences)
    assert claim(ledger, written(due_occurrences)).claimed == ids(due_occurrences)
    assert commit(ledger, dead) == frozenset(), "the fence: it belongs to the release that claimed it last"


def test_what_a_dead_instance_has_released_is_not_taken_over(ledger: Ledger) -> None:
    due_occurrences = let_go(ledger, "pay", "pack")
    assert claim(ledger, written(due_occurrences)).claimed == frozenset()


def test_what_has_ended_is_not_taken_over(ledger: Ledger) -> None:
    pay, pack = dues_of("pay", "pack")
    claim(ledger, [pay, pack])
    outcomes.record_unstarted(ledger, [pay.ends(Outcome.MISSED, "too late")], now_ns=T)
    assert claim(ledger, written([pay, pack])).claimed == {pack.id}


def test_who_has_lost_its_claim_cannot_end_what_another_runs(ledger: Ledger) -> None:
    (pay,) = dues_of("pay")
    slow = claim(ledger, [pay])
    commit(ledger, claim(ledger, written([pay])))
    assert commit(ledger, slow, withdrawn=[pay.ends(Outcome.SKIPPED, "overlap")]) == frozenset()
    (running,) = history.find_by_ids(ledger, [pay.id])
    assert (running.state, running.outcome) == (OccurrenceState.RUNNING, None)


def test_what_is_queued_is_claimed_once(ledger: Ledger) -> None:
    due_occurrences = written(dues_of("pay", "pack"))
    assert _queue(ledger, due_occurrences)
    assert states(ledger) == {"pay": OccurrenceState.QUEUED, "pack": OccurrenceState.QUEUED}
    assert claim(ledger, due_occurrences).claimed == ids(due_occurrences)
    assert states(ledger) == {"pay": OccurrenceState.CLAIMED, "pack": OccurrenceState.CLAIMED}


def test_queuing_beside_one_that_is_there_writes_nothing(ledger: Ledger) -> None:
    claim(ledger, dues_of("pay"))
    assert not _queue(ledger, dues_of("pack", "pay"))
    assert states(ledger) == {"pay": OccurrenceState.CLAIMED}


def test_a_t_that_no_ledger_can_hold_is_refused(ledger: Ledger) -> None:
    due_occurrences = dues_of("pay", planned_at_ns=LATEST_NS + 1)
    with pytest.raises(UsageError, match="T is too far away"):
        _queue(ledger, due_occurrences)
    assert count(ledger, occurrences) == 0


def test_a_request_for_more_jobs_than_a_statement_has_variables_is_queued(ledger: Ledger) -> None:
    due_occurrences = dues_of(*(f"job_{index:05d}" for index in range(11_000)))
    assert _queue(ledger, due_occurrences)
    assert len(history.find_by_ids(ledger, [due.id for due in due_occurrences])) == 11_000


def test_of_many_threads_that_claim_the_same_each_occurrence_goes_to_one(ledger: Ledger) -> None:
    names = [f"job_{index}" for index in range(20)]
    instances = [an_instance(ledger) for _ in range(4)]
    for number in range(5):
        due_occurrences = dues_of(*names, fire_time_ns=T + number * SECOND)
        got = _all_at_once(
            [partial(claim, ledger, due_occurrences, instance=instance) for instance in instances]
        )
        assert Counter(one for release in got for one in release.claimed) == Counter(ids(due_occurrences))


@pytest.mark.processes
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
    all_of_them = [
        str(due.id) for number in range(rounds) for due in dues_of(*names, fire_time_ns=T + number * SECOND)
    ]
    assert got == Counter(all_of_them)


def test_a_commit_and_a_take_over_at_the_same_moment_never_both_start_an_occurrence(ledger: Ledger) -> None:
    slow, fast = an_instance(ledger), an_instance(ledger)
    for number in range(20):
        due_occurrences = dues_of(*(f"job_{index}" for index in range(5)), fire_time_ns=T + number * SECOND)
        release = claim(ledger, due_occurrences, instance=slow)

        def take_over(due_occurrences: Sequence[DueOccurrence] = due_occurrences) -> frozenset[OccurrenceId]:
            return commit(ledger, claim(ledger, written(due_occurrences), instance=fast))

        go_on: Callable[[], frozenset[OccurrenceId]] = partial(commit, ledger, release)
        started = Counter(one for may_start in _all_at_once([go_on, take_over]) for one in may_start)
        assert started == Counter(ids(due_occurrences))


def test_of_a_run_and_a_miss_at_the_same_moment_one_wins(ledger: Ledger) -> None:
    fast = an_instance(ledger)
    for number in range(10):
        (pay,) = dues_of("pay", fire_time_ns=T + number * SECOND)
        claim(ledger, [pay])

        def run(due: DueOccurrence = pay) -> None:
            if commit(ledger, claim(ledger, written([due]), instance=fast)):
                outcomes.record(ledger, [an_ending(due)])

        def give_up(due: DueOccurrence = pay) -> None:
            outcomes.record_unstarted(ledger, [due.ends(Outcome.MISSED, "too late")], now_ns=T)

        _all_at_once([run, give_up])
        (ended,) = history.find_by_ids(ledger, [pay.id])
        assert (ended.outcome, ended.attempts) in {(Outcome.SUCCEEDED, 1), (Outcome.MISSED, 0)}
        assert len(history.find_attempts(ledger, pay.id)) == ended.attempts


def _all_at_once(actions: Sequence[Callable[[], Result]]) -> list[Result]:
    together = threading.Barrier(len(actions))

    def act(action: Callable[[], Result]) -> Result:
        together.wait(PATIENCE_S)
        return action()

    with ThreadPoolExecutor(len(actions), thread_name_prefix="racer") as pool:
        return list(pool.map(act, actions))


def _queue(ledger: Ledger, due_occurrences: Sequence[DueOccurrence]) -> bool:
    request = requests.add_request(ledger, RequestKind.RUN_NOW, {}, now_ns=T)
    with ledger.write() as connection:
        return claims.queue(connection, due_occurrences, request=request.id)


@pytest.mark.parametrize("is_committed", [True, False])
def test_what_is_put_back_is_queued_and_may_be_claimed_again(ledger: Ledger, *, is_committed: bool) -> None:
    instance, due_occurrences = an_instance(ledger), dues_of("pay", "pack")
    first = claim(ledger, due_occurrences, instance=instance)
    if is_committed:
        commit(ledger, first)
    for _ in range(2):
        claims.put_back(ledger, first, due_occurrences[:1])
    other = OccurrenceState.RUNNING if is_committed else OccurrenceState.CLAIMED
    assert states(ledger) == {"pay": OccurrenceState.QUEUED, "pack": other}
    again = claim(ledger, written(due_occurrences[:1]), instance=instance)
    assert again.claimed == commit(ledger, again) == ids(due_occurrences[:1])


def test_what_another_release_has_or_what_has_ended_is_not_put_back(ledger: Ledger) -> None:
    pay, pack = dues_of("pay", "pack")
    first = claim(ledger, [pay, pack])
    outcomes.record(ledger, [an_ending(pack)])
    claims.put_back(ledger, first, [pay])
    second = claim(ledger, written([pay]))
    claims.put_back(ledger, first, [pay, pack])
    assert states(ledger) == {"pay": OccurrenceState.CLAIMED, "pack": OccurrenceState.FINISHED}
    assert commit(ledger, second) == ids([pay])
