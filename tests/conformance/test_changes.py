"""Who waits for a change of the ledger hears of it."""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from scheduler.errors import LedgerError
from scheduler.ledger import changes, requests, runs
from scheduler.ledger.engine import Ledger
from scheduler.ledger.requests import Kind
from scheduler.model.background import Work
from tests.support.ledgers import T, full_url, opened
from tests.support.postgres import a_schema_of_its_own


@pytest.fixture(autouse=True)
def for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is heard ends a wait."""
    monkeypatch.setattr(changes, "_LONGEST_S", 3600.0)


@contextlib.contextmanager
def waiting(ledger: Ledger, stop: threading.Event) -> Iterator["Future[None]"]:
    """A thread that listens, and then waits."""
    listens = threading.Event()

    def listen() -> None:
        with changes.heard(ledger) as wait:
            listens.set()
            wait(stop)

    with ThreadPoolExecutor(1, thread_name_prefix="waits") as pool:
        done = pool.submit(listen)
        try:
            assert listens.wait(20)
            yield done
        finally:
            stop.set()


def test_what_another_process_hands_over_is_heard_of(ledger: Ledger) -> None:
    with waiting(ledger, threading.Event()) as done, opened(full_url(ledger.url)) as other:
        runs.submit(other, Work(app="shop", ref="shop:look"), now_ns=T)
        done.result(20)


def test_what_another_process_asks_for_is_heard_of(ledger: Ledger) -> None:
    with waiting(ledger, threading.Event()) as done, opened(full_url(ledger.url)) as other:
        requests.ask(other, Kind.RUN_NOW, {}, now_ns=T)
        done.result(20)


def test_a_change_between_listening_and_waiting_is_not_overheard(ledger: Ledger) -> None:
    with changes.heard(ledger) as wait:
        requests.ask(ledger, Kind.RUN_NOW, {}, now_ns=T)
        wait(threading.Event())


def test_who_waits_can_be_stopped(ledger: Ledger) -> None:
    stop = threading.Event()
    with waiting(ledger, stop) as done:
        stop.set()
        done.result(20)


def test_ledgers_in_two_schemas_of_one_database_do_not_hear_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_schema_of_its_own() as one, a_schema_of_its_own() as two, opened(one) as mine, opened(two) as other:
        with waiting(mine, threading.Event()) as done:
            requests.ask(other, Kind.RUN_NOW, {}, now_ns=T)
            requests.ask(mine, Kind.RUN_NOW, {}, now_ns=T)
            done.result(20)
        with changes.heard(mine) as wait:
            requests.ask(other, Kind.RUN_NOW, {}, now_ns=T)
            monkeypatch.setattr(changes, "_LONGEST_S", 0.4)
            wait(threading.Event())  # ends by itself


def test_a_connection_that_is_lost_while_waiting_is_said_in_our_words() -> None:
    with a_schema_of_its_own() as url, opened(url) as ledger, waiting(ledger, threading.Event()) as done:
        with ledger.read() as connection:
            kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %' || md5(current_schema()) || '%'"
            assert connection.execute(sa.text(kill)).all() == [(True,)]
        with pytest.raises(LedgerError, match="does not work"):
            done.result(20)
