"""The lock: one process at a time runs jobs on a ledger, and others see which."""

import contextlib
import fcntl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.daemon import eventually
from tests.support.ledgers import an_instance, full_url, hold_lock, opened
from tests.support.moments import PATIENCE_S
from tests.support.other_process import another_process
from tests.support.postgres import a_schema_of_its_own
from tminus.errors import LedgerError, LedgerLost
from tminus.ledger import instances
from tminus.ledger.engine import Ledger
from tminus.ledger.files import lock_file
from tminus.ledger.lock import is_held, lock_of


def wait_until_free(ledger: Ledger) -> None:
    """PostgreSQL notices the end of a client a moment later."""
    lock = lock_of(ledger)
    eventually(lock.acquire, what="the lock is free")
    lock.release()


def is_refused(ledger: Ledger) -> bool:
    """Whether somebody who comes now has to wait."""
    lock = lock_of(ledger)
    try:
        return not lock.acquire()
    finally:
        lock.release()


def test_a_free_lock_is_taken_and_given_back(ledger: Ledger) -> None:
    lock = lock_of(ledger)
    assert not is_held(ledger)
    assert lock.acquire()
    assert is_held(ledger)
    lock.release()
    wait_until_free(ledger)
    assert eventually(lambda: not is_held(ledger))


def test_whoever_has_released_the_lock_writes_nothing_more(ledger: Ledger) -> None:
    lock = lock_of(ledger)
    assert lock.acquire()
    ledger.guard = lock.check
    lock.release()
    with pytest.raises(LedgerLost, match="this process has released the lock of the ledger"):
        an_instance(ledger)


def test_a_second_one_in_this_process_is_refused(ledger: Ledger) -> None:
    lock = lock_of(ledger)
    assert lock.acquire()
    assert is_refused(ledger)
    lock.release()


@pytest.mark.processes
def test_a_second_process_is_refused_and_can_say_who_has_it(ledger: Ledger) -> None:
    identity = an_instance(ledger)
    with another_process(hold_lock, full_url(ledger.url)) as holder:
        assert holder.hears() is True
        assert is_refused(ledger)
        assert is_held(ledger)
        latest = instances.latest(ledger)
    assert latest is not None
    assert latest.id == identity
    assert str(latest) == f"daemon with pid {latest.pid} on {latest.host}"


@pytest.mark.processes
def test_a_lock_that_is_given_back_is_free_for_the_next_process(ledger: Ledger) -> None:
    with another_process(hold_lock, full_url(ledger.url)) as holder:
        assert holder.hears() is True
        holder.tell("give it back")
        assert holder.hears() == "released"
        wait_until_free(ledger)


@pytest.mark.processes
def test_kill_9_frees_it(ledger: Ledger) -> None:
    with another_process(hold_lock, full_url(ledger.url)) as holder:
        assert holder.hears() is True
        holder.kill()
        wait_until_free(ledger)
    assert eventually(lambda: not is_held(ledger))


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


def test_waiters_are_served_in_turn_and_a_daemon_before_any_other(ledger: Ledger) -> None:
    holder, first, second, daemon = (
        lock_of(ledger, goes_first=first) for first in (False, False, False, True)
    )
    assert holder.acquire()
    assert [lock.acquire() for lock in (first, second, daemon)] == [False] * 3
    holder.release()
    for place, lock in enumerate([daemon, first, second]):
        behind = [one for one in (first, second)[max(place - 1, 0) :] if one is not lock]
        assert [one.acquire() for one in behind] == [False] * len(behind)
        assert eventually(lock.acquire)
        lock.release()


@pytest.mark.processes
def test_a_waiter_that_is_killed_leaves_the_queue(ledger: Ledger) -> None:
    holder = lock_of(ledger)
    assert holder.acquire()
    with another_process(hold_lock, full_url(ledger.url)) as waiter:
        assert waiter.hears() is False
        waiter.kill()
    holder.release()
    wait_until_free(ledger)


def test_all_names_of_a_database_share_one_lock(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link.db").symlink_to(tmp_path / "ledger.db")
    with (
        opened(f"sqlite:///{tmp_path}/ledger.db") as ledger,
        opened(f"sqlite:///{tmp_path}/elsewhere/link.db") as linked,
    ):
        lock = lock_of(ledger)
        assert lock.acquire()
        assert is_held(linked)
        assert is_refused(linked)
        lock.release()
    assert [file.name for file in (tmp_path / "elsewhere").iterdir()] == ["link.db"]


def test_a_lock_file_that_is_removed_lets_nobody_in_and_is_made_again(sqlite_url: str) -> None:
    with opened(sqlite_url) as ledger:
        assert ledger.path is not None
        lock = lock_of(ledger)
        assert lock.acquire()
        ledger.guard = lock.check
        lock_file(ledger.path).unlink()
        assert is_held(ledger)
        assert is_refused(ledger)
        an_instance(ledger)
        assert lock.losses == 1
        with lock_file(ledger.path).open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        lock.release()


def test_whoever_has_lost_the_lock_file_to_another_program_writes_nothing_more(sqlite_url: str) -> None:
    with opened(sqlite_url) as ledger:
        assert ledger.path is not None
        lock = lock_of(ledger)
        assert lock.acquire()
        ledger.guard = lock.check
        lock_file(ledger.path).unlink()
        with lock_file(ledger.path).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with pytest.raises(LedgerLost, match="was replaced, and another process has locked the new one"):
                an_instance(ledger)
        assert instances.latest(ledger) is None
        lock.release()


def test_a_link_in_the_place_of_the_lock_file_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    with opened(sqlite_url) as ledger:
        assert ledger.path is not None
        lock_file(ledger.path).symlink_to(tmp_path / "planted")
        lock = lock_of(ledger)
        with pytest.raises(LedgerError, match="is a symbolic link, which is not followed"):
            lock.acquire()
        lock.release()
    assert not (tmp_path / "planted").exists()


def end_session(ledger: Ledger) -> None:
    """The server ends the session that holds the lock."""
    with ledger.own_connection() as connection:
        ended = connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
            " AND ((classid::bigint << 32) | objid::bigint) = hashtextextended('tminus ' || current_schema(), 0)"
        )
        assert ended.scalars().all() == [True]


def test_a_session_that_ends_is_noticed_by_the_next_write_which_takes_the_lock_again(
    postgresql: Ledger,
) -> None:
    lock = lock_of(postgresql)
    assert lock.acquire()
    postgresql.guard = lock.check
    end_session(postgresql)
    assert not is_held(postgresql)
    an_instance(postgresql)
    assert is_held(postgresql)
    assert lock.losses == 1
    lock.release()


def test_whoever_has_lost_the_lock_to_another_process_writes_nothing_more(postgresql: Ledger) -> None:
    lock = lock_of(postgresql)
    assert lock.acquire()
    postgresql.guard = lock.check
    end_session(postgresql)
    with another_process(hold_lock, full_url(postgresql.url)) as other:
        assert other.hears() is True
        for _ in range(2):
            with pytest.raises(LedgerLost, match="another process has the lock of the ledger"):
                an_instance(postgresql)
    assert instances.latest(postgresql) is None
    lock.release()


def test_of_two_threads_that_notice_the_loss_together_neither_writes(postgresql: Ledger) -> None:
    lock, both = lock_of(postgresql), threading.Barrier(2)
    assert lock.acquire()
    postgresql.guard = lock.check

    def wait_for_the_other(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "writes AS MATERIALIZED" in statement:
            both.wait(PATIENCE_S)

    end_session(postgresql)
    with another_process(hold_lock, full_url(postgresql.url)) as other, ThreadPoolExecutor(2) as pool:
        assert other.hears() is True
        sa.event.listen(postgresql._reader, "after_cursor_execute", wait_for_the_other)
        writes = [pool.submit(an_instance, postgresql) for _ in range(2)]
        assert [type(write.exception(PATIENCE_S)) for write in writes] == [LedgerLost, LedgerLost]
    assert instances.latest(postgresql) is None
    lock.release()


def test_the_next_holder_waits_for_what_the_last_one_writes(postgresql: Ledger) -> None:
    lock, next_one = lock_of(postgresql), lock_of(postgresql)
    assert lock.acquire()
    postgresql.guard = lock.check
    with ThreadPoolExecutor(1) as pool:
        with postgresql.write():
            end_session(postgresql)
            taken = pool.submit(next_one.acquire)
            eventually(lambda: is_held(postgresql))
            assert not taken.done()
        assert taken.result(PATIENCE_S)
    next_one.release()
    lock.release()


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


def test_a_lock_that_another_process_had_meanwhile_is_not_taken_again(postgresql: Ledger) -> None:
    lock = lock_of(postgresql)
    assert lock.acquire()
    postgresql.guard = lock.check
    an_instance(postgresql)
    end_session(postgresql)
    with opened(full_url(postgresql.url)) as other:
        second = lock_of(other)
        assert second.acquire()
        an_instance(other)
        second.release()
        wait_until_free(other)
    errors = []
    for _ in range(2):
        with pytest.raises(LedgerLost, match="or had it meanwhile") as caught:
            an_instance(postgresql)
        errors.append(caught.value)
    assert errors[0] is not errors[1]
    assert eventually(lambda: not is_held(postgresql))
    assert lock.losses == 0


def test_a_lock_is_taken_again_though_all_other_connections_of_the_pool_are_in_use(
    postgresql: Ledger,
) -> None:
    lock = lock_of(postgresql)
    assert lock.acquire()
    postgresql.guard = lock.check
    end_session(postgresql)
    pool = postgresql._reader.pool
    assert isinstance(pool, sa.QueuePool)
    with contextlib.ExitStack() as readers:
        for _ in range(pool.size() + pool._max_overflow - 1):
            readers.enter_context(postgresql.read())
        an_instance(postgresql)
    assert lock.losses == 1
    lock.release()
