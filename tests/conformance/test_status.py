"""The status of a daemon, as derived from its ledger."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from tests.support.ledgers import T, claim, commit, let_go, run_batch
from tests.support.scheduling import definitions_of
from tests.support.values import a_due, a_job, an_ending
from tminus.instants import SECOND
from tminus.ledger import (
    background_queue,
    claims,
    history,
    instances,
    notices,
    notifications,
    outcomes,
    pauses,
    resolutions,
    submissions,
)
from tminus.ledger.engine import Ledger
from tminus.ledger.lock import lock_of
from tminus.ledger.resolutions import set_resolution
from tminus.model.background import Submission
from tminus.model.job import Every
from tminus.model.notification import Notification, NotificationKind
from tminus.model.occurrence import Resolution
from tminus.operations import attention
from tminus.operations.attention import (
    failed_jobs,
    forgotten_pauses,
    is_nearly_full,
    long_log,
    stuck_jobs,
)
from tminus.operations.status import status
from tminus.outcome import Outcome, Resolved
from tminus.policies.pause import Pause, PauseKind

_DAY = 86_400 * SECOND


def test_an_occurrence_without_outcome_long_after_its_time_is_a_problem(ledger: Ledger) -> None:
    lock = lock_of(ledger)
    assert lock.acquire()
    try:
        claim(ledger, [a_due(a_job("claimed"), fire_time_ns=T, planned_at_ns=T)])
        let_go(ledger, "running")
        for later, problems in (
            (SECOND, ()),
            (2 * _DAY, ("2 occurrences without outcome past the time-out, such as claimed@",)),
        ):
            instances.register(ledger, kind="daemon", config_version="0", now_ns=T + later)
            found = status(ledger, lambda: None, now_ns=T + later)
            assert found.is_alive
            assert len(found.problems) == len(problems)
            assert all(one.startswith(start) for one, start in zip(found.problems, problems, strict=True))
            assert found.state == ("degraded" if problems else "running")
    finally:
        lock.release()


def test_missed_and_unknown_occurrences_are_problems_until_they_are_resolved(ledger: Ledger) -> None:
    lock = lock_of(ledger)
    assert lock.acquire()
    try:
        instances.register(ledger, kind="daemon", config_version="0", now_ns=T + SECOND)
        (pay,) = let_go(ledger, "pay")
        outcomes.record(ledger, [an_ending(pay, Outcome.UNKNOWN, reason="by the test")])
        pack = a_due(a_job("pack"), fire_time_ns=T)
        outcomes.record_unstarted(ledger, [pack.ends(Outcome.MISSED, "by the test")], now_ns=T)
        assert status(ledger, lambda: None, now_ns=T + SECOND).problems == (
            "1 missed in 24 h that nobody has resolved: tminus history --outcome missed",
            "1 unknown in 24 h that nobody has resolved: tminus history --outcome unknown",
        )
        resolution = Resolution(resolved=Resolved.RAN, by="eve@here", at_ns=T)
        with ledger.write() as connection:
            for due in (pay, pack):
                set_resolution(connection, due.id, resolution)
        found = status(ledger, lambda: None, now_ns=T + SECOND)
        assert (found.problems, found.outcomes) == ((), {Outcome.MISSED: 1, Outcome.UNKNOWN: 1})
    finally:
        lock.release()


def test_what_was_missed_is_no_problem_once_a_later_run_has_succeeded(
    ledger: Ledger,
) -> None:
    pack = a_due(a_job("pack"), fire_time_ns=T)
    outcomes.record_unstarted(ledger, [pack.ends(Outcome.MISSED, "by the test")], now_ns=T)
    again = [a_due(pack.job, fire_time_ns=T, run=run) for run in (1, 2)]
    commit(ledger, claim(ledger, again))
    for due, outcome, left in zip(again, (Outcome.FAILED, Outcome.SUCCEEDED), (1, 0), strict=True):
        outcomes.record(ledger, [an_ending(due, outcome=outcome)])
        assert (
            resolutions.count_unresolved(ledger, [Outcome.MISSED], since_ns=T).get(Outcome.MISSED, 0) == left
        )


def test_a_job_that_skips_fire_times_because_a_run_goes_on_is_named(ledger: Ledger) -> None:
    (export,) = let_go(ledger, "export")

    def named() -> list[str]:
        unfinished = history.unfinished(ledger)
        return list(stuck_jobs(ledger, unfinished, now_ns=T + 300 * SECOND))

    for number, reason in enumerate(
        ("overlap: it runs", "paused", "overlap: it runs", "overlap: it runs"), 1
    ):
        assert named() == []
        later = a_due(export.job, fire_time_ns=T + number * SECOND)
        outcomes.record_unstarted(ledger, [later.ends(Outcome.SKIPPED, reason)], now_ns=T)
    assert named() == [
        f"export has been running for 5 min, and 3 fire times were skipped: tminus cancel {export.id}"
    ]
    outcomes.record(ledger, [an_ending(export)])
    assert named() == []


def test_what_had_to_wait_for_room_is_no_problem_long_after_its_planned_start(ledger: Ledger) -> None:
    lock = lock_of(ledger)
    assert lock.acquire()
    try:
        due = a_due(a_job(), fire_time_ns=T, room_at_ns=T)
        claims.put_off(ledger, [due])
        let_run = claim(ledger, [replace(due, is_written=True)])
        commit(ledger, let_run)
        instances.register(ledger, kind="daemon", config_version="0", now_ns=T + 2 * _DAY)
        assert status(ledger, lambda: None, now_ns=T + 2 * _DAY).problems == ()
    finally:
        lock.release()


def test_notifications_that_cannot_be_delivered_are_a_problem(ledger: Ledger) -> None:
    message = Notification(
        channel="ops", kind=NotificationKind.FAILED, about="it", created_ns=T, title="pay failed"
    )
    notices.decide(ledger, decided=(), messages=[message], changed={})
    for tries in range(3):
        (one,) = notifications.find_due(ledger, now_ns=T)
        assert status(ledger, lambda: None, now_ns=T).problems == ()
        assert one.tries == tries
        notifications.record_failure(ledger, one, error="the server answered 503", next_try_ns=T, now_ns=T)
    problem = "1 notification to ops cannot be delivered: the server answered 503"
    assert status(ledger, lambda: None, now_ns=T).problems == (problem,)
    notifications.record_sent(ledger, one, now_ns=T)
    assert status(ledger, lambda: None, now_ns=T).problems == ()


def test_background_runs_that_wait_for_newer_code_are_a_problem_until_it_is_loaded(ledger: Ledger) -> None:
    runs = [
        submissions.submit(ledger, Submission(app="shop", ref="shop:look"), now_ns=T).occurrence
        for _ in range(2)
    ]
    background_queue.set_served_apps(ledger, ["shop"])
    for run in background_queue.load_runs(ledger, runs).values():
        background_queue.wait_for_code(ledger, run.number, "waits for newer code: no shop:look")
    assert status(ledger, lambda: None, now_ns=T).problems == (
        "2 background runs of shop queued until a reload (waits for newer code: no shop:look): tminus reload",
    )
    background_queue.end_wait_for_code(ledger, "shop", after=0, limit=9)
    assert status(ledger, lambda: None, now_ns=T).problems == ()


def test_jobs_whose_last_run_failed_are_named_until_one_succeeds(ledger: Ledger) -> None:
    ends = {
        "pay": Outcome.FAILED,
        "pack": Outcome.TIMED_OUT,
        "ship": Outcome.SUCCEEDED,
        "old": Outcome.FAILED,
    }
    due = [a_due(a_job(name, suspended=name == "old"), fire_time_ns=T) for name in ends]
    commit(ledger, claim(ledger, due))
    outcomes.record(ledger, [an_ending(one, outcome=ends[one.id.job], reason="why") for one in due])
    later = [a_due(one.job, fire_time_ns=T + SECOND) for one in due]
    outcomes.record_unstarted(ledger, [one.ends(Outcome.SKIPPED, "busy") for one in later], now_ns=T)
    definitions = definitions_of(*(one.job for one in due))

    def named() -> list[str]:
        return list(failed_jobs(ledger, definitions, {}, now_ns=T, unreadable=None))

    assert named() == [
        "the last run of pay failed (why): tminus logs pay",
        "the last run of pack timed out (why): tminus logs pack",
    ]
    again = a_due(due[0].job, fire_time_ns=T, run=1)
    commit(ledger, claim(ledger, [again]))
    assert len(named()) == 2
    outcomes.record(ledger, [an_ending(again)])
    assert [text.split()[4] for text in named()] == ["pack"]


def test_pauses_that_somebody_may_have_forgotten_are_named(ledger: Ledger) -> None:
    every = (Every(SECOND),)
    names = ("old", "new", "until", "failing", "gone", "by_hand", "suspended")
    kinds = {"failing": PauseKind.FAILURES}
    with ledger.write() as connection:
        for name in names:
            pause = Pause(
                kind=kinds.get(name, PauseKind.PAUSE),
                since_ns=T + SECOND if name in ("new", "failing") else T,
                until_ns=T + 10 * _DAY if name == "until" else None,
                reason="why",
                by="ann@desk",
            )
            pauses.begin(connection, [name], pause)
    scheduled = [a_job(name, schedule=every) for name in ("old", "new", "until", "failing")]
    others = [a_job("by_hand"), a_job("suspended", schedule=every, suspended=True)]
    definitions = definitions_of(*scheduled, *others)
    with ledger.read() as connection:
        known = pauses.load(connection)
    assert list(forgotten_pauses(definitions, known, now_ns=T + _DAY)) == [
        "old is paused by ann@desk since 2025-11-20T11:30:00Z: why; tminus resume old ends that",
        "failing is paused by ann@desk since 2025-11-20T11:30:01Z: why; tminus resume failing ends that",
    ]


def test_of_many_jobs_that_failed_some_are_named(ledger: Ledger) -> None:
    due = [a_due(a_job(f"job_{number}"), fire_time_ns=T) for number in range(12)]
    commit(ledger, claim(ledger, due))
    outcomes.record(ledger, [an_ending(one, outcome=Outcome.FAILED) for one in due])
    definitions = definitions_of(*(one.job for one in due))
    *named, more = failed_jobs(ledger, definitions, {}, now_ns=T, unreadable=None)
    assert (len(named), more) == (10, "the last run of 2 more jobs failed: tminus jobs")


def test_a_write_ahead_log_that_grows_is_a_problem(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(long_log(ledger)) == []
    monkeypatch.setattr(attention, "_LONG_LOG", 0)
    with ledger.read() as reader:
        reader.execute(sa.select(1))
        run_batch(ledger, [1.0])
        expected = 1 if ledger.path else 0
        assert [text.split(" has ")[0] for text in long_log(ledger)] == [
            "the write-ahead log of the ledger"
        ] * expected


@pytest.mark.parametrize(
    ("free", "size", "expected"),
    [
        pytest.param(4 << 30, 100 << 30, True, id="a-small-part"),
        pytest.param(6 << 30, 1 << 40, False, id="a-small-part-that-is-a-lot"),
        pytest.param(10 << 20, 64 << 20, True, id="little-on-a-small-disk"),
        pytest.param(40 << 20, 64 << 20, False, id="a-small-disk"),
    ],
)
def test_a_disk_is_nearly_full(free: int, size: int, *, expected: bool) -> None:
    assert is_nearly_full(free=free, size=size) is expected
