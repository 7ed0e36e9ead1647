"""Occurrences as they end, for `history --follow`."""

from tests.support.ledgers import T, claim, commit
from tests.support.values import a_due, a_job, an_ending
from tminus.ledger import outcomes
from tminus.ledger.engine import Ledger
from tminus.ledger.follow import EndedOccurrences


def followed(ledger: Ledger, *jobs: str) -> EndedOccurrences:
    return EndedOccurrences(ledger, jobs, unreadable=lambda row: None)


def test_each_occurrence_is_found_once_when_it_ends(ledger: Ledger) -> None:
    old, running, later = (a_due(fire_time_ns=T + number) for number in range(3))
    commit(ledger, claim(ledger, [old, running]))
    outcomes.record(ledger, [an_ending(old)])
    ended = followed(ledger)
    assert ended.look() == []
    commit(ledger, claim(ledger, [later]))
    assert ended.look() == []
    outcomes.record(ledger, [an_ending(later), an_ending(running)])
    assert {one.id for one in ended.look()} == {running.id, later.id}
    assert ended.look() == []


def test_what_begins_and_ends_between_two_looks_is_found(ledger: Ledger) -> None:
    ended = followed(ledger)
    for number in range(3):
        due = a_due(fire_time_ns=T + number)
        commit(ledger, claim(ledger, [due]))
        outcomes.record(ledger, [an_ending(due)])
        assert [one.id for one in ended.look()] == [due.id]


def test_only_chosen_jobs_are_found(ledger: Ledger) -> None:
    ended = followed(ledger, "pay")
    due = [a_due(a_job(name), fire_time_ns=T) for name in ("pay", "pack")]
    commit(ledger, claim(ledger, due))
    outcomes.record(ledger, [an_ending(one) for one in due])
    assert [one.id.job for one in ended.look()] == ["pay"]
