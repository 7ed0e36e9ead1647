"""What is asked of the daemon is not lost, is done once, and may be taken back until it is taken."""

import json
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from scheduler.ledger import claims, history, requests
from scheduler.ledger.changes import change_counter
from scheduler.ledger.engine import Ledger
from scheduler.ledger.requests import Kind, Request
from tests.support.ledgers import T, an_instance, dues_of, full_url, opened

BODY = {"jobs": ["pay"], "set": {"day": "ä\0"}, "at_ns": None}


def ask(ledger: Ledger, *, at_ns: int = T) -> Request:
    return requests.ask(ledger, Kind.RUN_NOW, BODY, now_ns=at_ns)


def take(ledger: Ledger, request: Request, *, answer: Mapping[str, Any] | None = None) -> Mapping[str, Any] | None:
    return requests.take(ledger, request, instance=an_instance(ledger), answer=lambda _: answer or {"ok": True})


def test_what_is_asked_for_is_there_for_who_comes_later(ledger: Ledger) -> None:
    request = ask(ledger)
    with opened(full_url(ledger.url)) as later:
        assert requests.pending(later) == [request]


def test_requests_are_pending_oldest_first(ledger: Ledger) -> None:
    newer, older = ask(ledger, at_ns=T + 1), ask(ledger, at_ns=T)
    assert requests.pending(ledger) == [older, newer]


def test_a_request_that_is_taken_has_its_answer_and_is_pending_no_more(ledger: Ledger) -> None:
    request = ask(ledger)
    assert take(ledger, request, answer={"occurrences": ["pay@now"]}) == {"occurrences": ["pay@now"]}
    assert requests.look_at(ledger, request).answer == {"occurrences": ["pay@now"]}
    assert requests.pending(ledger) == []


def test_a_request_is_taken_once(ledger: Ledger) -> None:
    request = ask(ledger)
    take(ledger, request, answer={"by": "the first"})
    assert take(ledger, request, answer={"by": "the second"}) is None
    assert requests.look_at(ledger, request).answer == {"by": "the first"}


def test_a_request_that_was_withdrawn_is_not_taken(ledger: Ledger) -> None:
    request = ask(ledger)
    assert requests.withdraw(ledger, request, now_ns=T)
    assert requests.pending(ledger) == []
    assert take(ledger, request) is None


def test_a_request_that_was_taken_is_not_withdrawn(ledger: Ledger) -> None:
    request = ask(ledger)
    take(ledger, request)
    assert not requests.withdraw(ledger, request, now_ns=T)


def test_a_request_is_withdrawn_once(ledger: Ledger) -> None:
    request = ask(ledger)
    assert [requests.withdraw(ledger, request, now_ns=T) for _ in range(2)] == [True, False]


def test_an_answer_that_breaks_leaves_the_request_for_another_try(ledger: Ledger) -> None:
    request = ask(ledger)

    def breaks(connection: Connection) -> Mapping[str, Any]:
        claims.queue(connection, dues_of("pay"), request=request.id)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        requests.take(ledger, request, instance=an_instance(ledger), answer=breaks)
    assert requests.pending(ledger) == [request]
    assert history.find(ledger) == []


def test_what_a_request_makes_is_there_when_it_is_taken_and_not_before(ledger: Ledger) -> None:
    request = ask(ledger)

    def answer(connection: Connection) -> Mapping[str, Any]:
        return {"queued": claims.queue(connection, dues_of("pay"), request=request.id)}

    assert requests.take(ledger, request, instance=an_instance(ledger), answer=answer) == {"queued": True}
    assert [one.id for one in history.unfinished(ledger)] == [due.id for due in dues_of("pay")]


def test_of_takers_and_a_withdrawal_at_the_same_moment_one_wins(ledger: Ledger) -> None:
    for number in range(10):
        request, together = ask(ledger, at_ns=T + number), threading.Barrier(3)

        def try_to_take(request: Request = request, together: threading.Barrier = together) -> bool:
            together.wait(60)
            return take(ledger, request) is not None

        def try_to_withdraw(request: Request = request, together: threading.Barrier = together) -> bool:
            together.wait(60)
            return requests.withdraw(ledger, request, now_ns=T)

        with ThreadPoolExecutor(3, thread_name_prefix="racer") as pool:
            tries = [pool.submit(try_to_take), pool.submit(try_to_take), pool.submit(try_to_withdraw)]
            assert sum(one.result() for one in tries) == 1


def test_the_change_counter_moves_with_each_write_of_another_connection(ledger: Ledger) -> None:
    with ledger.own_connection() as connection:
        before = change_counter(connection)
        if before is None:
            assert ledger.path is None
            return
        assert change_counter(connection) == before
        ask(ledger)
        assert change_counter(connection) != before


def test_who_watches_for_requests_keeps_no_old_view_open(sqlite_url: str) -> None:
    with opened(sqlite_url) as ledger, ledger.own_connection() as watching:
        change_counter(watching)
        for number in range(20):
            ask(ledger, at_ns=T + number)
        with ledger.own_connection() as connection:
            busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        assert busy == 0


def test_a_request_holds_what_was_asked_to_the_letter(ledger: Ledger) -> None:
    assert json.dumps(requests.look_at(ledger, ask(ledger)).body) == json.dumps(BODY)
