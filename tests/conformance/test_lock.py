"""One process at a time runs jobs on a ledger, and it is known which."""

import threading

from scheduler.ledger import instances
from scheduler.ledger.engine import Ledger
from scheduler.ledger.files import lock_file
from scheduler.ledger.lock import is_held, lock_of
from tests.support.ledgers import an_instance, full_url, hold_lock, opened
from tests.support.other_process import another_process
from tests.support.postgres import a_schema_of_its_own


def wait_until_free(ledger: Ledger) -> None:
    """PostgreSQL notices the end of a client a moment later."""
    lock = lock_of(ledger)
    for _ in range(1_000):
        if lock.acquire():
            lock.release()
            return
        threading.Event().wait(0.02)
    raise AssertionError("the lock is still held")


def test_a_free_lock_is_taken_and_given_back(ledger: Ledger) -> None:
    lock = lock_of(ledger)
    assert not is_held(ledger)
    assert lock.acquire()
    assert is_held(ledger)
    lock.release()
    wait_until_free(ledger)
    assert not is_held(ledger)


def test_a_second_one_in_this_process_is_refused(ledger: Ledger) -> None:
    lock = lock_of(ledger)
    assert lock.acquire()
    assert not lock_of(ledger).acquire()
    lock.release()


def test_a_second_process_is_refused_and_can_say_who_has_it(ledger: Ledger) -> None:
    identity = an_instance(ledger)
    with another_process(hold_lock, full_url(ledger.url)) as holder:
        assert holder.hears() is True
        assert not lock_of(ledger).acquire()
        assert is_held(ledger)
        latest = instances.latest(ledger)
    assert latest is not None
    assert latest.id == identity
    assert str(latest) == f"daemon with pid {latest.pid} on {latest.host}"


def test_a_lock_that_is_given_back_is_free_for_the_next_process(ledger: Ledger) -> None:
    with another_process(hold_lock, full_url(ledger.url)) as holder:
        assert holder.hears() is True
        holder.tell("give it back")
        assert holder.hears() == "released"
        wait_until_free(ledger)


def test_kill_9_frees_it(ledger: Ledger) -> None:
    with another_process(hold_lock, full_url(ledger.url)) as holder:
        assert holder.hears() is True
        holder.kill()
        wait_until_free(ledger)
    assert not is_held(ledger)


def test_to_give_back_what_is_not_held_does_nothing(ledger: Ledger) -> None:
    lock = lock_of(ledger)
    lock.release()
    assert lock.acquire()
    lock.release()
    lock.release()
    wait_until_free(ledger)


def test_who_only_looks_keeps_nobody_out(ledger: Ledger) -> None:
    done, looks = threading.Event(), 0

    def look() -> None:
        nonlocal looks
        while not done.is_set():
            is_held(ledger)
            looks += 1

    watchers = [threading.Thread(target=look, name=f"watcher {number}") for number in range(2)]
    for watcher in watchers:
        watcher.start()
    try:
        while looks < 10:
            pass
        wait_until_free(ledger)
    finally:
        done.set()
        for watcher in watchers:
            watcher.join()


def test_two_ledgers_in_one_database_have_a_lock_each(postgresql: Ledger) -> None:
    lock = lock_of(postgresql)
    assert lock.acquire()
    with a_schema_of_its_own() as url, another_process(hold_lock, url) as other:
        assert other.hears() is True
    lock.release()


def test_a_lock_file_that_was_left_behind_holds_nobody_up(sqlite_url: str) -> None:
    with opened(sqlite_url) as ledger:
        assert ledger.path is not None
        lock_file(ledger.path).write_text("4711\n")
        assert not is_held(ledger)
        lock = lock_of(ledger)
        assert lock.acquire()
        lock.release()
