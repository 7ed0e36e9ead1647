"""Subscribers notice each change of the ledger."""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from tests.support.ledgers import T, full_url, opened
from tests.support.moments import PATIENCE_S
from tests.support.postgres import a_schema_of_its_own
from tminus.clock import SystemClock
from tminus.errors import LedgerError
from tminus.instants import MS
from tminus.ledger import changes, requests, submissions
from tminus.ledger.engine import Ledger
from tminus.ledger.requests import RequestKind
from tminus.model.background import Submission


@pytest.fixture(autouse=True)
def for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is heard ends a wait."""
    monkeypatch.setattr(changes, "_LONGEST_S", 3600.0)


@contextlib.contextmanager
def waiting(ledger: Ledger, stop: threading.Event) -> Iterator["Future[None]"]:
    """A thread that listens, and then waits."""
    listens = threading.Event()

    def listen() -> None:
        with changes.subscribe(ledger) as wait:
            listens.set()
            wait(stop)

    with ThreadPoolExecutor(1, thread_name_prefix="waits") as pool:
        done = pool.submit(listen)
        try:
            assert listens.wait(PATIENCE_S)
            yield done
        finally:
            stop.set()


def test_what_another_process_hands_over_is_heard_of(ledger: Ledger) -> None:
    with waiting(ledger, threading.Event()) as done, opened(full_url(ledger.url)) as other:
        submissions.submit(other, Submission(app="shop", ref="shop:look"), now_ns=T)
        done.result(PATIENCE_S)


def test_what_another_process_asks_for_is_heard_of(ledger: Ledger) -> None:
    with waiting(ledger, threading.Event()) as done, opened(full_url(ledger.url)) as other:
        requests.add_request(other, RequestKind.RUN_NOW, {}, now_ns=T)
        done.result(PATIENCE_S)


def test_a_change_between_listening_and_waiting_is_not_overheard(ledger: Ledger) -> None:
    with changes.subscribe(ledger) as wait:
        requests.add_request(ledger, RequestKind.RUN_NOW, {}, now_ns=T)
        wait(threading.Event())


def test_who_waits_can_be_stopped(ledger: Ledger) -> None:
    stop = threading.Event()
    with waiting(ledger, stop) as done:
        stop.set()
        done.result(PATIENCE_S)


@pytest.mark.processes
def test_ledgers_in_two_schemas_of_one_database_do_not_hear_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        a_schema_of_its_own() as one,
        a_schema_of_its_own() as two,
        opened(one) as mine,
        opened(two) as other,
    ):
        with waiting(mine, threading.Event()) as done:
            requests.add_request(other, RequestKind.RUN_NOW, {}, now_ns=T)
            requests.add_request(mine, RequestKind.RUN_NOW, {}, now_ns=T)
            done.result(PATIENCE_S)
        with changes.subscribe(mine) as wait:
            requests.add_request(other, RequestKind.RUN_NOW, {}, now_ns=T)
            monkeypatch.setattr(changes, "_LONGEST_S", 0.4)
            began_ns = SystemClock.monotonic_ns()
            wait(threading.Event())
            assert SystemClock.monotonic_ns() - began_ns >= 400 * MS, "it has not ended by itself"


@pytest.mark.processes
def test_a_connection_that_is_lost_while_waiting_is_said_in_our_words() -> None:
    with a_schema_of_its_own() as url, opened(url) as ledger, waiting(ledger, threading.Event()) as done:
        with ledger.read() as connection:
            kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %' || md5(current_schema()) || '%'"
            assert connection.execute(sa.text(kill)).all() == [(True,)]
        with pytest.raises(LedgerError, match="does not work"):
            done.result(PATIENCE_S)
