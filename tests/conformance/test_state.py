"""The shared state of an application and its named locks, on each database."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.ledgers import count_up, full_url, hold_named_lock, one_commit_raises, opened
from tests.support.moments import PATIENCE_S
from tests.support.other_process import another_process
from tminus.clock import SystemClock
from tminus.errors import LedgerError, LedgerValueError, LockTimeout, UsageError
from tminus.instants import MS, SECOND
from tminus.ledger import state
from tminus.ledger.engine import Ledger
from tminus.ledger.named_locks import acquire

_LARGEST = 2**63 - 1
#: Who waits for a lock for so long waits for one that is never released.
_LONG_NS = round(PATIENCE_S * SECOND)


@contextmanager
def held(ledger: Ledger, name: str = "poll", app: str = "shop") -> Iterator[None]:
    """While this thread has that lock."""
    give_back = acquire(ledger, app, name, _LONG_NS)
    try:
        yield
    finally:
        give_back()


def is_free(ledger: Ledger, name: str = "poll", app: str = "shop") -> bool:
    """Whether somebody else could take it at once."""
    try:
        give_back = acquire(ledger, app, name, 1 * MS)
    except LockTimeout:
        return False
    give_back()
    return True


def test_a_name_that_was_never_set_has_no_value(ledger: Ledger) -> None:
    assert state.get(ledger, "shop", "open") is None


def test_what_was_set_is_there_for_the_next_process(ledger: Ledger) -> None:
    state.put(ledger, "shop", "open", "true")
    with opened(full_url(ledger.url)) as another:
        assert state.get(another, "shop", "open") == "true"


def test_a_text_that_no_database_takes_is_refused_as_an_error_of_the_ledger(ledger: Ledger) -> None:
    with pytest.raises(LedgerValueError, match="does not take a value"):
        state.put(ledger, "caf\udce9", "open", "true")
    with pytest.raises(LedgerValueError, match="does not take a value"):
        state.get(ledger, "caf\udce9", "open")


def test_what_is_set_to_none_is_there_no_more(ledger: Ledger) -> None:
    state.put(ledger, "shop", "open", "true")
    state.put(ledger, "shop", "open", None)
    assert state.get(ledger, "shop", "open") is None


def test_two_applications_do_not_meet(ledger: Ledger) -> None:
    state.incr(ledger, "shop", "votes", 1)
    assert state.incr(ledger, "backoffice", "votes", 5) == 5
    with held(ledger, app="shop"):
        assert is_free(ledger, app="backoffice")


@pytest.mark.parametrize("value", ['"yes"', "1.5", "true", "[1]"])
def test_what_is_no_integer_is_not_counted(ledger: Ledger, value: str) -> None:
    state.put(ledger, "shop", "votes", value)
    with pytest.raises(UsageError, match="'votes' is not a counter: its value is"):
        state.incr(ledger, "shop", "votes", 1)
    assert state.get(ledger, "shop", "votes") == value


@pytest.mark.parametrize("sign", [1, -1])
def test_a_counter_ends_at_64_bits_and_says_so(ledger: Ledger, sign: int) -> None:
    assert state.incr(ledger, "shop", "votes", sign * _LARGEST) == sign * _LARGEST
    with pytest.raises(UsageError, match="does not fit into 64 bits"):
        state.incr(ledger, "shop", "votes", sign)
    assert state.get(ledger, "shop", "votes") == str(sign * _LARGEST)


@pytest.mark.processes
def test_processes_and_their_threads_count_each_step_once(ledger: Ledger) -> None:
    url = full_url(ledger.url)
    with another_process(count_up, url, 2, 10) as one, another_process(count_up, url, 2, 10) as two:
        steps = [*one.hears(), *two.hears()]
    assert sorted(steps) == list(range(1, 41))
    assert state.get(ledger, "shop", "votes") == "40"


def test_of_many_who_compare_and_set_at_once_one_succeeds(ledger: Ledger) -> None:
    together = threading.Barrier(8)

    def claim(number: int) -> bool:
        together.wait()
        return state.compare_and_set(ledger, "shop", "winner", None, str(number))

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(claim, range(8)))
    assert won.count(True) == 1
    assert state.get(ledger, "shop", "winner") == str(won.index(True))


_NAMES = st.sampled_from(["a", "b"])
_VALUES = st.sampled_from([None, "0", "1", '"x"', "true"])
_STEPS = st.one_of(
    st.tuples(st.just("incr"), _NAMES, st.sampled_from([1, -1, _LARGEST])),
    st.tuples(st.just("compare_and_set"), _NAMES, _VALUES, _VALUES),
    st.tuples(st.just("set"), _NAMES, _VALUES),
)


def by_the_model(model: dict[str, str | None], what: str, name: str, *given: Any) -> Any:
    """What a plain dictionary makes of it."""
    found = model.get(name)
    if what == "set":
        model[name] = given[0]
        return None
    if what == "compare_and_set":
        model[name] = given[1] if found == given[0] else found
        return found == given[0]
    number = json.loads(found or "0")
    if type(number) is not int or abs(number + given[0]) > _LARGEST:
        return UsageError
    model[name] = str(number + given[0])
    return number + given[0]


def result_of(operation: Callable[[], Any]) -> Any:
    """What it returns, or the class of what it raises."""
    try:
        return operation()
    except UsageError as error:
        return type(error)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_STEPS, max_size=12))
def test_whatever_the_steps_it_is_what_a_dictionary_would_be(ledger: Ledger, steps: list[Any]) -> None:
    for name in ("a", "b"):
        state.put(ledger, "shop", name, None)
    model: dict[str, str | None] = {}
    for what, name, *given_ in steps:
        found = result_of(partial(state.OPERATIONS[what], ledger, "shop", name, *given_))
        assert found == by_the_model(model, what, name, *given_)
        assert state.get(ledger, "shop", name) == model.get(name)


def test_two_threads_of_a_process_exclude_each_other(ledger: Ledger) -> None:
    inside, most = 0, 0

    def enter(_number: int) -> None:
        nonlocal inside, most
        with held(ledger):
            inside += 1
            most = max(most, inside)
            SystemClock.pause(2 * MS)
            inside -= 1

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(enter, range(12)))
    assert most == 1


@pytest.mark.processes
def test_another_process_waits_until_it_is_given_back(ledger: Ledger) -> None:
    with another_process(hold_named_lock, full_url(ledger.url), "poll") as holder:
        assert holder.hears() == "held"
        assert not is_free(ledger)
        assert is_free(ledger, "another")
        holder.tell("give it back")
        with held(ledger):
            pass


@pytest.mark.processes
def test_kill_9_lets_the_next_one_in_at_once(ledger: Ledger) -> None:
    with (
        ThreadPoolExecutor(1) as other,
        another_process(hold_named_lock, full_url(ledger.url), "poll") as holder,
    ):
        assert holder.hears() == "held"
        waits = other.submit(acquire, ledger, "shop", "poll", _LONG_NS)
        assert not wait([waits], timeout=0.2).done
        holder.kill()
        waits.result()()


@pytest.mark.processes
def test_a_forked_child_does_not_hold_on_to_what_its_parent_held(ledger: Ledger) -> None:
    with another_process(hold_named_lock, full_url(ledger.url), "poll", forks=True) as holder:
        child = holder.hears()
        holder.kill()
        try:
            with held(ledger):
                os.kill(child, 0)  # it still runs
        finally:
            os.kill(child, 9)


@pytest.mark.processes
def test_a_child_that_leaves_the_block_of_its_parent_gives_nothing_back(ledger: Ledger) -> None:
    with held(ledger), another_process(count_up, full_url(ledger.url), 1, 1):
        give_back = acquire(ledger, "shop", "mine", SECOND)
        if (child := os.fork()) == 0:
            give_back()
            os._exit(0)
        os.waitpid(child, 0)
        with another_process(hold_named_lock, full_url(ledger.url), "mine", timeout_ns=100 * MS) as other:
            assert other.hears() == "the lock 'mine' was not free within 0.1 s"
        give_back()


@pytest.mark.processes
def test_who_waits_for_too_long_hears_how_long(ledger: Ledger) -> None:
    with another_process(hold_named_lock, full_url(ledger.url), "poll") as holder:
        assert holder.hears() == "held"
        with pytest.raises(TimeoutError, match=r"the lock 'poll' was not free within 0.2 s"):
            acquire(ledger, "shop", "poll", 200 * MS)


def test_who_wait_for_locks_take_no_connection_from_who_counts(postgresql: Ledger) -> None:
    waiters = 20
    with ThreadPoolExecutor(waiters) as pool:
        with another_process(
            hold_named_lock, full_url(postgresql.url), *(f"lock {n}" for n in range(waiters))
        ) as holder:
            assert holder.hears() == "held"
            waits = [
                pool.submit(acquire, postgresql, "shop", f"lock {number}", _LONG_NS)
                for number in range(waiters)
            ]
            assert state.incr(postgresql, "shop", "votes", 1) == 1
            assert not any(one.done() for one in waits)
        for one in waits:
            one.result()()


def test_a_lock_that_was_lost_while_it_was_held_is_no_success(postgresql: Ledger) -> None:
    give_back = acquire(postgresql, "shop", "poll", SECOND)
    with postgresql.own_connection() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND (objid::bigint | (classid::bigint << 32))"
            " = hashtextextended('tminus lock ' || current_schema() || ' [\"shop\", \"poll\"]', 0)"
        )
    with pytest.raises(LedgerError, match="does not work"):
        give_back()
    assert is_free(postgresql)


def test_a_count_whose_commit_raised_and_was_made_is_no_failure(postgresql: Ledger) -> None:
    with one_commit_raises(postgresql):
        assert state.incr(postgresql, "shop", "votes", 1) == 1
    with one_commit_raises(postgresql):
        assert state.compare_and_set(postgresql, "shop", "votes", "1", "2")
    assert state.get(postgresql, "shop", "votes") == "2"


def test_a_count_whose_commit_raised_and_was_not_made_is_a_failure(postgresql: Ledger) -> None:
    with one_commit_raises(postgresql, is_durable=False), pytest.raises(LedgerError):
        state.incr(postgresql, "shop", "votes", 1)
    assert state.get(postgresql, "shop", "votes") is None
