"""Outcomes: each occurrence has exactly one, which is final, and is stored together with its attempts."""

import dataclasses
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.ledgers import T, claim, count, dues_of, let_go
from tests.support.values import an_attempt, an_ending
from tminus.errors import LedgerError
from tminus.instants import MS, SECOND
from tminus.ledger import history, outcomes
from tminus.ledger.engine import Ledger
from tminus.ledger.tables import attempts, occurrences
from tminus.model.batch import DueOccurrence, OccurrenceResult
from tminus.model.occurrence import Occurrence
from tminus.model.phases import Phases
from tminus.operations.history import occurrence_log
from tminus.outcome import OccurrenceState, Outcome, Phase

#: Hypothesis tries many on one ledger: each has a job of its own.
EACH = itertools.count()
FINAL = st.sampled_from(Outcome)
#: Whatever a peer may put into an answer.
TEXT = st.text(st.characters(exclude_categories=[]), max_size=40)
LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\0"), min_size=1, max_size=40)


def the(ledger: Ledger, due: DueOccurrence) -> Occurrence:
    (one,) = history.find_by_ids(ledger, [due.id])
    return one


def test_how_it_went_is_written_with_its_attempts(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    first = an_attempt(
        1, at_ns=T + MS, outcome=Outcome.FAILED, reason="died: closed", http_status=None, armed=False
    )
    second = an_attempt(
        2, at_ns=T + SECOND, headers=("HTTP/1.1 200 OK", "X-A: b"), body=b"\x00\xff", body_size=2
    )
    outcomes.record(ledger, [an_ending(pay, attempts=(first, second), finished_at_ns=T + 2 * SECOND)])
    ended = the(ledger, pay)
    assert (ended.state, ended.outcome, ended.attempts, ended.executor) == (
        OccurrenceState.FINISHED,
        Outcome.SUCCEEDED,
        2,
        "http-1@here",
    )
    assert (ended.started_at_ns, ended.armed) == (first.started_at_ns, False), "of the first attempt"
    assert (ended.http_status, ended.duration_ns, ended.finished_at_ns) == (
        200,
        second.duration_ns,
        T + 2 * SECOND,
    )
    assert history.find_attempts(ledger, pay.id) == [first, second]


def test_the_phases_of_an_attempt_are_read_as_they_were_written(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    phases = Phases({Phase.ARMED: -900 * MS, Phase.SENT: MS, Phase.DONE: 6 * MS})
    written = an_attempt(at_ns=T + MS, phases=phases), an_attempt(2, at_ns=T + SECOND)
    outcomes.record(ledger, [an_ending(pay, attempts=written)])
    assert history.find_attempts(ledger, pay.id) == list(written)
    first, second = occurrence_log(ledger, str(pay.id), unreadable=print).as_json()["attempts"]
    assert (first["phases_ms"], second["phases_ms"]) == ({"armed": -900.0, "sent": 1.0, "done": 6.0}, {})


def test_one_that_was_never_sent_has_no_start(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    outcomes.record(ledger, [an_ending(pay, Outcome.FAILED, reason="definition", attempts=())])
    ended = the(ledger, pay)
    assert (ended.outcome, ended.reason, ended.attempts) == (Outcome.FAILED, "definition", 0)
    assert (ended.started_at_ns, ended.armed, ended.duration_ns, ended.start_offset_ns) == (
        None,
        None,
        None,
        None,
    )


def test_an_outcome_that_is_written_again_after_an_unclear_commit_is_there_once(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    for _ in range(2):
        outcomes.record(ledger, [an_ending(pay)])
    assert the(ledger, pay).outcome is Outcome.SUCCEEDED
    assert len(history.find_attempts(ledger, pay.id)) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    said=st.lists(st.tuples(st.sampled_from(["record", "decide", "crash"]), FINAL), min_size=2, max_size=5)
)
def test_a_later_outcome_changes_nothing(ledger: Ledger, said: list[tuple[str, Outcome]]) -> None:
    (pay,) = let_go(ledger, f"pay-{next(EACH)}")
    seen = None
    for number, (how, outcome) in enumerate(said):
        if how == "record":
            many = tuple(an_attempt(1 + index, at_ns=T + index) for index in range(number + 1))
            outcomes.record(ledger, [an_ending(pay, outcome, reason=str(number), attempts=many)])
        elif how == "decide":
            outcomes.record_unstarted(ledger, [pay.ends(outcome, str(number))], now_ns=T + number)
        else:
            outcomes.unknown_after_crash(ledger, now_ns=T + number, reason=str(number))
        now = the(ledger, pay), history.find_attempts(ledger, pay.id)
        assert seen is None or now == seen
        seen = now
    assert seen is not None
    assert seen[0].outcome is (Outcome.UNKNOWN if said[0][0] == "crash" else said[0][1])
    assert seen[0].attempts == len(seen[1])


def test_of_two_outcomes_in_one_group_the_first_holds(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    two = tuple(an_attempt(number, at_ns=T) for number in (1, 2))
    outcomes.record(ledger, [an_ending(pay, Outcome.TIMED_OUT), an_ending(pay, attempts=two)])
    assert the(ledger, pay).outcome is Outcome.TIMED_OUT
    assert len(history.find_attempts(ledger, pay.id)) == 1


def test_a_late_answer_does_not_make_an_unknown_one_known(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    assert outcomes.unknown_after_crash(ledger, now_ns=T + SECOND, reason="killed") == 1
    outcomes.record(ledger, [an_ending(pay)])
    assert (the(ledger, pay).outcome, the(ledger, pay).reason) == (Outcome.UNKNOWN, "killed")
    assert history.find_attempts(ledger, pay.id) == []


def test_after_a_crash_only_what_was_let_go_and_has_no_outcome_is_unknown(ledger: Ledger) -> None:
    claim(ledger, dues_of("claimed"))
    (ended, lost) = let_go(ledger, "ended", "lost")
    outcomes.record(ledger, [an_ending(ended)])
    assert outcomes.unknown_after_crash(ledger, now_ns=T, reason="killed") == 1
    assert {one.id.job: one.outcome for one in history.find(ledger)} == {
        "claimed": None,
        "ended": Outcome.SUCCEEDED,
        "lost": Outcome.UNKNOWN,
    }
    assert the(ledger, lost).finished_at_ns == T
    assert outcomes.unknown_after_crash(ledger, now_ns=T, reason="killed") == 0


def test_a_group_is_written_together_or_not_at_all(ledger: Ledger) -> None:
    pay, pack = let_go(ledger, "pay", "pack")
    broken = dataclasses.replace(an_attempt(at_ns=T), duration_ns=None)  # type: ignore[arg-type]  # NOT NULL
    with pytest.raises(LedgerError):
        outcomes.record(ledger, [an_ending(pay), an_ending(pack, attempts=(broken,))])
    assert {one.outcome for one in history.find(ledger)} == {None}
    assert count(ledger, attempts) == 0


def test_a_large_group_is_written_at_once(ledger: Ledger) -> None:
    due_occurrences = let_go(ledger, *(f"job_{number}" for number in range(1_500)))
    outcomes.record(ledger, [an_ending(due) for due in due_occurrences])
    assert history.unfinished(ledger) == []
    assert count(ledger, attempts) == 1_500


def test_an_outcome_of_nothing_that_is_there_is_passed_over(ledger: Ledger) -> None:
    (gone,), (pay,) = dues_of("gone"), let_go(ledger, "pay")
    outcomes.record(ledger, [an_ending(gone), an_ending(pay)])
    outcomes.record(ledger, [])
    assert [one.id for one in history.find(ledger)] == [pay.id]


def test_one_that_does_not_start_is_written_whether_it_has_a_row_or_not(ledger: Ledger) -> None:
    there, not_there = dues_of("there", "not_there")
    claim(ledger, [there])
    outcomes.record_unstarted(
        ledger, [there.ends(Outcome.SKIPPED, "a"), not_there.ends(Outcome.MISSED, "b", count=7)], now_ns=T + 1
    )
    assert count(ledger, occurrences) == 2
    assert (the(ledger, there).outcome, the(ledger, there).reason, the(ledger, there).count) == (
        Outcome.SKIPPED,
        "a",
        1,
    )
    missed = the(ledger, not_there)
    assert (missed.outcome, missed.state, missed.count, missed.finished_at_ns) == (
        Outcome.MISSED,
        OccurrenceState.FINISHED,
        7,
        T + 1,
    )


def test_what_was_decided_is_not_claimed_any_more(ledger: Ledger) -> None:
    (pay,) = dues_of("pay")
    outcomes.record_unstarted(ledger, [pay.ends(Outcome.MISSED, "too late")], now_ns=T)
    assert claim(ledger, [pay]).claimed == frozenset()
    assert the(ledger, pay).outcome is Outcome.MISSED


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reason=TEXT, header=TEXT, executor=TEXT, body=st.binary(max_size=40))
def test_whatever_a_peer_answers_can_be_written(
    ledger: Ledger, reason: str, header: str, executor: str, body: bytes
) -> None:
    (pay,) = let_go(ledger, f"pay-{next(EACH)}")
    attempt = an_attempt(
        at_ns=T, outcome=Outcome.FAILED, reason=reason, headers=(header,), body=body, body_size=len(body)
    )
    ended = OccurrenceResult(
        id=pay.id,
        outcome=Outcome.FAILED,
        reason=reason,
        finished_at_ns=T,
        executor=executor,
        attempts=(attempt,),
    )
    outcomes.record(ledger, [ended])
    (kept,) = history.find_attempts(ledger, pay.id)
    assert kept.body == body
    assert the(ledger, pay).outcome is Outcome.FAILED


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headers=st.lists(LINE, max_size=4).map(tuple))
def test_header_lines_stay_the_lines_that_they_were(ledger: Ledger, headers: tuple[str, ...]) -> None:
    (pay,) = let_go(ledger, f"pay-{next(EACH)}")
    outcomes.record(ledger, [an_ending(pay, attempts=(an_attempt(at_ns=T, headers=headers),))])
    (kept,) = history.find_attempts(ledger, pay.id)
    assert kept.headers == headers


def test_what_no_database_can_store_is_written_in_letters(ledger: Ledger) -> None:
    (pay,) = let_go(ledger, "pay")
    outcomes.record(ledger, [an_ending(pay, Outcome.FAILED, reason="a\0b\ud800c")])
    assert the(ledger, pay).reason == r"a\x00b\ud800c"
