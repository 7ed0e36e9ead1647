"""Notices are written with the outcomes, and the notifications of a notice are written once."""

from collections.abc import Sequence

import sqlalchemy as sa

from tests.support.ledgers import T, claim, commit, count, dues_of, let_go, prune_all
from tests.support.values import an_attempt, an_ending
from tminus.instants import MS, SECOND
from tminus.ledger import late_finishes, notices, notifications, outcomes, submissions
from tminus.ledger.engine import Ledger
from tminus.ledger.tables import notices as notices_table
from tminus.ledger.tables import notifications as notifications_table
from tminus.model.background import Submission
from tminus.model.batch import UnstartedResult
from tminus.model.notification import FAILURES, Notification, NotificationKind, OutcomeWatch
from tminus.model.occurrence import OccurrenceId
from tminus.outcome import Origin, Outcome
from tminus.policies.notify import Alert

PAY = OutcomeWatch(outcomes={"pay": FAILURES})


def noted(ledger: Ledger) -> list[tuple[str, Outcome]]:
    return [(one.id.job, one.outcome) for one in notices.read(ledger).noted]


def a_message(
    about: str = "it", *, kind: NotificationKind = NotificationKind.FAILED, created_ns: int = T, job: str = ""
) -> Notification:
    return Notification(
        channel="ops",
        kind=kind,
        about=about,
        created_ns=created_ns,
        title="pay failed",
        job=job,
        data={"a": 1},
    )


def write(ledger: Ledger, *messages: Notification, decided: Sequence[int] = ()) -> None:
    notices.decide(ledger, decided=decided, messages=messages, changed={})


def due(ledger: Ledger, now_ns: int = T) -> list[Notification]:
    return notifications.find_due(ledger, now_ns=now_ns)


def test_a_late_finish_is_noted_once_and_not_after_its_end(ledger: Ledger) -> None:
    pay, pack = let_go(ledger, "pay", "pack")
    outcomes.record(ledger, [an_ending(pack)])
    for _ in range(2):
        late_finishes.note(ledger, {one.id: T + SECOND for one in (pay, pack)})
    found = notices.read(ledger)
    (one,) = found.late_finishes
    assert (one.id, one.planned_at_ns, one.finish_by_ns) == (pay.id, T, T + SECOND)
    assert (found.batches[T].jobs, found.batches[T].unfinished) == (2, 1)


def test_a_late_finish_is_decided_with_its_messages_and_stays_decided(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    late_finishes.note(ledger, {pay.id: T + SECOND})
    (one,) = notices.read(ledger).late_finishes
    outcomes.record(ledger, [an_ending(pay)])  # that it was late is told all the same
    assert len(notices.read(ledger).late_finishes) == 1
    message = a_message(kind=NotificationKind.LATE_FINISH)
    notices.decide(ledger, decided=(), messages=[message], changed={}, late_finishes_decided=[one.number])
    assert [one.kind for one in due(ledger)] == [NotificationKind.LATE_FINISH]
    late_finishes.note(ledger, {pay.id: T + SECOND})
    assert notices.read(ledger).late_finishes == []


def test_outcomes_are_noted_if_they_are_watched(ledger: Ledger) -> None:
    ledger.watch = PAY
    pay, other = let_go(ledger, "pay", "other")
    outcomes.record(ledger, [an_ending(one, Outcome.FAILED, reason="status: 503") for one in (pay, other)])
    found = notices.read(ledger)
    (one,) = found.noted
    assert (one.id, one.outcome, one.reason) == (pay.id, Outcome.FAILED, "status: 503")
    size = found.batches[T]
    assert (size.jobs, size.unfinished) == (2, 0)


def test_without_a_watch_nothing_is_noted(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    outcomes.record(ledger, [an_ending(pay, Outcome.FAILED)])
    assert count(ledger, notices_table) == 0


def test_an_outcome_is_noted_once_however_often_it_is_written(ledger: Ledger) -> None:
    ledger.watch = PAY
    (pay,) = let_go(ledger, "pay")
    outcomes.record(ledger, [an_ending(pay, Outcome.FAILED)])
    write(ledger, decided=[one.number for one in notices.read(ledger).noted])
    outcomes.record(ledger, [an_ending(pay, Outcome.FAILED)])
    missed = pay.ends(Outcome.MISSED, "too late")
    outcomes.record_unstarted(ledger, [missed], now_ns=T)
    assert noted(ledger) == []


def test_a_success_is_noted_after_a_failure_that_is_noted_or_known_to_a_channel(ledger: Ledger) -> None:
    ledger.watch = PAY
    for index, (outcome, is_noted) in enumerate(
        [(Outcome.SUCCEEDED, False), (Outcome.FAILED, True), (Outcome.SUCCEEDED, True)]
    ):
        (pay,) = let_go(ledger, "pay", fire_time_ns=T + index * SECOND)
        before = len(noted(ledger))
        outcomes.record(ledger, [an_ending(pay, outcome)])
        assert len(noted(ledger)) == before + is_noted
    decided = [one.number for one in notices.read(ledger).noted]
    alert = Alert(since_ns=T, is_failing=True, last="failed")
    notices.decide(ledger, decided=decided, messages=[], changed={("ops", "pay"): alert})
    (pay,) = let_go(ledger, "pay", fire_time_ns=T + 9 * SECOND)
    outcomes.record(ledger, [an_ending(pay)])
    assert noted(ledger) == [("pay", Outcome.SUCCEEDED)]
    assert notices.read(ledger).alerts == {("ops", "pay"): alert}


def test_what_never_started_is_noted(ledger: Ledger) -> None:
    ledger.watch = PAY
    (claimed,) = dues_of("pay", fire_time_ns=T - SECOND)
    claim(ledger, [claimed])
    new = UnstartedResult(
        id=OccurrenceId(job="pay", fire_time_ns=T),
        planned_at_ns=T,
        origin=Origin.SCHEDULE,
        config_version="",
        outcome=Outcome.MISSED,
        reason="too late",
        count=3,
    )
    outcomes.record_unstarted(ledger, [new, claimed.ends(Outcome.MISSED, "too late")], now_ns=T)
    assert [(one.id, one.count) for one in notices.read(ledger).noted] == [(claimed.id, 1), (new.id, 3)]


def test_what_is_withdrawn_at_the_commit_is_noted(ledger: Ledger) -> None:
    ledger.watch = OutcomeWatch(outcomes={"pay": frozenset({Outcome.SKIPPED})})
    pay, other = dues_of("pay", "other")
    release = claim(ledger, [pay, other])
    commit(ledger, release, withdrawn=[one.ends(Outcome.SKIPPED, "overlap") for one in (pay, other)])
    assert noted(ledger) == [("pay", Outcome.SKIPPED)]


def test_what_a_crash_left_unknown_is_noted(ledger: Ledger) -> None:
    ledger.watch = PAY
    let_go(ledger, "pay", "other")
    assert outcomes.unknown_after_crash(ledger, now_ns=T, reason="killed") == 2
    assert noted(ledger) == [("pay", Outcome.UNKNOWN)]


def test_a_late_start_is_noted_whatever_the_outcome(ledger: Ledger) -> None:
    ledger.watch = OutcomeWatch(start_within_ns=50 * MS)
    late, punctual = let_go(ledger, "late", "punctual")
    outcomes.record(
        ledger,
        [an_ending(late, attempts=(an_attempt(at_ns=T + 51 * MS),)), an_ending(punctual)],
    )
    assert noted(ledger) == [("late", Outcome.SUCCEEDED)]


def test_background_runs_are_not_noted(ledger: Ledger) -> None:
    ledger.watch = OutcomeWatch(outcomes={"shop.pay": frozenset(Outcome)}, start_within_ns=1)
    receipt = submissions.submit(ledger, Submission(app="shop", ref="shop:pay"), now_ns=T)
    (run,) = dues_of("shop.pay", fire_time_ns=receipt.occurrence.fire_time_ns)
    outcomes.record(ledger, [an_ending(run, Outcome.FAILED, is_background=True)])
    assert noted(ledger) == []


def test_notifications_and_the_end_of_their_notices_are_written_once(ledger: Ledger) -> None:
    ledger.watch = PAY
    (pay,) = let_go(ledger, "pay")
    outcomes.record(ledger, [an_ending(pay, Outcome.FAILED)])
    (one,) = notices.read(ledger).noted
    for _ in range(2):
        write(ledger, a_message(), decided=[one.number])
    assert noted(ledger) == []
    (found,) = due(ledger)
    assert (found.title, found.data, found.tries) == ("pay failed", {"a": 1}, 0)


def test_a_ping_replaces_those_of_its_job_that_are_not_delivered(ledger: Ledger) -> None:
    start, success = NotificationKind.PING_START, NotificationKind.PING_SUCCESS
    write(ledger, a_message("pay@1", kind=start, job="pay"), a_message("other@1", kind=start, job="other"))
    write(ledger, a_message("pay@1", kind=success, job="pay"))
    assert [(one.job, one.kind) for one in due(ledger)] == [("other", start), ("pay", success)]
    for one in due(ledger):
        notifications.record_sent(ledger, one, now_ns=T)
    assert count(ledger, notifications_table) == 0, "there would be very many"


def test_a_delivery_is_tried_again_until_it_is_made(ledger: Ledger) -> None:
    write(ledger, a_message())
    for tries in range(3):
        (one,) = due(ledger, T + tries * SECOND)
        assert one.tries == tries
        again_ns = T + (tries + 1) * SECOND
        notifications.record_failure(ledger, one, error="refused", next_try_ns=again_ns, now_ns=T)
        assert due(ledger, again_ns - 1) == []
    (problem,) = notifications.find_undelivered(ledger, since_ns=T)
    assert (problem.channel, problem.count, problem.error) == ("ops", 1, "refused")
    notifications.record_sent(ledger, one, now_ns=T)
    assert due(ledger, T + 100 * SECOND) == []
    assert notifications.find_undelivered(ledger, since_ns=T) == []
    assert notifications.find_due(ledger, now_ns=T, without=["ops"]) == []


def test_one_that_was_given_up_is_a_problem_for_a_while(ledger: Ledger) -> None:
    write(ledger, a_message())
    (one,) = due(ledger)
    notifications.record_failure(ledger, one, error="refused", next_try_ns=None, now_ns=T)
    assert due(ledger, T + 10**6 * SECOND) == []
    assert [found.count for found in notifications.find_undelivered(ledger, since_ns=T)] == [1]
    assert notifications.find_undelivered(ledger, since_ns=T + 1) == []


def test_those_of_a_channel_that_is_gone_are_dropped(ledger: Ledger) -> None:
    alert = Alert(since_ns=T, untold=1)
    notices.decide(ledger, decided=(), messages=[a_message()], changed={("ops", "pay"): alert})
    assert notifications.drop_unknown_channels(ledger, known=["ops"]) == 0
    assert notices.read(ledger).alerts == {("ops", "pay"): alert}
    assert notifications.drop_unknown_channels(ledger, known=["other"]) == 1
    assert (due(ledger), notices.read(ledger).alerts) == ([], {})


def test_old_notifications_are_pruned_once_they_are_delivered(ledger: Ledger) -> None:
    write(ledger, a_message("1"), a_message("2"))
    notifications.record_sent(ledger, due(ledger)[0], now_ns=T)
    prune_all(ledger, before_ns=T)
    assert count(ledger, notifications_table) == 2
    prune_all(ledger, before_ns=T + 1)
    with ledger.read() as connection:
        assert connection.scalars(sa.select(notifications_table.c.about)).all() == ["2"]
