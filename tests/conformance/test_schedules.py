"""The schedules of jobs: since when each is in force, and which of its fire times have a row."""

from tests.support.ledgers import T, an_instance, claim, dues_of
from tminus.instants import SECOND
from tminus.ledger import instances, outcomes, schedules
from tminus.ledger.engine import Ledger
from tminus.outcome import Outcome

HOUR = 3_600 * SECOND


def test_a_new_job_owes_its_instants_from_now_on(ledger: Ledger) -> None:
    assert schedules.replace_schedules(ledger, {"pay": "every 1h"}, now_ns=T) == {"pay": T}


def test_a_job_that_is_known_owes_since_it_was_first_seen(ledger: Ledger) -> None:
    schedules.replace_schedules(ledger, {"pay": "every 1h"}, now_ns=T)
    assert schedules.replace_schedules(
        ledger, {"pay": "every 1h", "pack": "every 1d"}, now_ns=T + 9 * HOUR
    ) == {
        "pay": T,
        "pack": T + 9 * HOUR,
    }


def test_a_row_stands_for_its_own_fire_time_and_for_none_before(ledger: Ledger) -> None:
    schedules.replace_schedules(ledger, {"pay": "every 1h"}, now_ns=T)
    claim(ledger, dues_of("pay", fire_time_ns=T + 2 * HOUR))
    claim(ledger, dues_of("pack", fire_time_ns=T + HOUR))
    (account,) = schedules.accounts(ledger)
    assert (account.decided_until_ns, account.covered) == (T, [(T + 2 * HOUR, T + 2 * HOUR)])


def test_a_row_of_a_repeated_run_stands_for_no_fire_time(ledger: Ledger) -> None:
    schedules.replace_schedules(ledger, {"pay": "every 1h"}, now_ns=T)
    claim(ledger, dues_of("pay", fire_time_ns=T + HOUR, run=1))
    (account,) = schedules.accounts(ledger)
    assert account.covered == []


def test_a_row_with_a_count_stands_for_all_of_them_also_across_a_mark(ledger: Ledger) -> None:
    schedules.replace_schedules(ledger, {"pay": "every 1h", "pack": "every 1h"}, now_ns=T)
    (due,) = dues_of("pay", fire_time_ns=T + HOUR)
    outcomes.record_unstarted(
        ledger, [due.ends(Outcome.MISSED, "late", count=3, covers_until_ns=T + 3 * HOUR)], now_ns=T
    )
    for mark_ns in (T, T + HOUR, T + 2 * HOUR):
        instances.record_heartbeat(ledger, an_instance(ledger), T, decided_until_ns=mark_ns)
        schedules.replace_schedules(ledger, {"pay": "every 1h", "pack": "every 1h"}, now_ns=T + 9 * HOUR)
        covered = {one.job: one.covered for one in schedules.accounts(ledger)}
        assert covered == {"pay": [(T + HOUR, T + 3 * HOUR)], "pack": []}


def test_a_job_whose_schedule_has_changed_owes_the_new_one_from_now_on(ledger: Ledger) -> None:
    schedules.replace_schedules(ledger, {"pay": "every 1h"}, now_ns=T)
    assert schedules.replace_schedules(ledger, {"pay": "every 2h"}, now_ns=T + HOUR) == {"pay": T + HOUR}
    assert schedules.replace_schedules(ledger, {"pay": "every 2h"}, now_ns=T + 9 * HOUR) == {"pay": T + HOUR}


def test_a_job_that_was_gone_owes_nothing_of_that_time(ledger: Ledger) -> None:
    schedules.replace_schedules(ledger, {"pay": "every 1h"}, now_ns=T)
    schedules.replace_schedules(ledger, {}, now_ns=T + HOUR)
    assert schedules.replace_schedules(ledger, {"pay": "every 1h"}, now_ns=T + 9 * HOUR) == {
        "pay": T + 9 * HOUR
    }


def test_what_was_due_until_a_schedule_ended_stays_on_its_account(ledger: Ledger) -> None:
    schedules.replace_schedules(ledger, {"pay": "every 1h"}, now_ns=T)
    schedules.replace_schedules(ledger, {"pay": "every 2h"}, now_ns=T + HOUR)
    claim(ledger, dues_of("pay", fire_time_ns=T + HOUR // 2))
    claim(ledger, dues_of("pay", fire_time_ns=T + 2 * HOUR))
    accounts = {
        one.schedule: (one.decided_until_ns, one.until_ns, one.covered) for one in schedules.accounts(ledger)
    }
    assert accounts == {
        "every 1h": (T, T + HOUR, [(T + HOUR // 2, T + HOUR // 2)]),
        "every 2h": (T + HOUR, None, [(T + 2 * HOUR, T + 2 * HOUR)]),
    }


def test_a_mark_settles_the_schedules_that_were_there_and_no_later_one(ledger: Ledger) -> None:
    schedules.replace_schedules(ledger, {"pay": "every 1h"}, now_ns=T)
    instances.record_heartbeat(ledger, an_instance(ledger), T, decided_until_ns=T + 5 * HOUR)
    schedules.replace_schedules(ledger, {"pay": "every 1h", "pack": "every 1h"}, now_ns=T + HOUR)
    assert {one.job: one.decided_until_ns for one in schedules.accounts(ledger)} == {
        "pay": T + 5 * HOUR,
        "pack": T + HOUR,
    }


def test_a_mark_never_moves_back_even_if_the_clock_does(ledger: Ledger) -> None:
    schedules.replace_schedules(ledger, {"pay": "every 1h"}, now_ns=T)
    instance = an_instance(ledger)
    for mark_ns in (T + 2 * HOUR, T + HOUR):
        instances.record_heartbeat(ledger, instance, T, decided_until_ns=mark_ns)
    assert schedules.replace_schedules(ledger, {"pay": "every 1h"}, now_ns=T) == {"pay": T + 2 * HOUR}
    instances.record_heartbeat(ledger, instance, T, decided_until_ns=T + HOUR)
    assert schedules.replace_schedules(ledger, {"pay": "every 1h"}, now_ns=T) == {"pay": T + 2 * HOUR}


def test_a_job_may_go_and_come_back_in_the_same_moment(ledger: Ledger) -> None:
    for wanted in ({"pay": "every 1h"}, {}, {"pay": "every 2h"}, {"pay": "every 1h"}):
        assert schedules.replace_schedules(ledger, wanted, now_ns=T) == dict.fromkeys(wanted, T)


def test_a_schedule_whose_text_is_not_known_is_taken_for_the_one_in_force(ledger: Ledger) -> None:
    schedules.replace_schedules(ledger, {"pay": ""}, now_ns=T)
    assert schedules.replace_schedules(ledger, {"pay": "every 1h"}, now_ns=T + 9 * HOUR) == {"pay": T}
    (account,) = schedules.accounts(ledger)
    assert account.schedule == "every 1h"


def test_ten_thousand_jobs_are_adopted_at_once(ledger: Ledger) -> None:
    wanted = {f"job_{number}": "every 1h" for number in range(10_000)}
    assert schedules.replace_schedules(ledger, wanted, now_ns=T) == dict.fromkeys(wanted, T)
    assert schedules.replace_schedules(ledger, wanted, now_ns=T + HOUR) == dict.fromkeys(wanted, T)
