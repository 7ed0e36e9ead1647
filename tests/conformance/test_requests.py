"""Requests to the daemon: none is lost, each is executed once, and can be withdrawn until it is taken."""

import json
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tests.support.ledgers import T, an_instance, dues_of, full_url, one_commit_raises, opened
from tests.support.moments import PATIENCE_S
from tminus.errors import LedgerError
from tminus.ledger import claims, history, requests, submissions
from tminus.ledger.changes import change_counter
from tminus.ledger.engine import Ledger
from tminus.ledger.requests import RequestKind, RequestRow
from tminus.ledger.tables import requests as rows
from tminus.model.background import Submission

BODY = {"jobs": ["pay"], "set": {"day": "ä\0"}, "at_ns": None}


def ask(ledger: Ledger, *, at_ns: int = T) -> RequestRow:
    return requests.add_request(ledger, RequestKind.RUN_NOW, BODY, now_ns=at_ns)


def take(
    ledger: Ledger, request: RequestRow, *, answer: Mapping[str, Any] | None = None
) -> Mapping[str, Any] | None:
    return requests.take(
        ledger, request, instance=an_instance(ledger), execute=lambda _: answer or {"ok": True}
    )


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
    assert requests.get_request(ledger, request.id).answer == {"occurrences": ["pay@now"]}
    assert requests.pending(ledger) == []


def test_a_request_is_taken_once(ledger: Ledger) -> None:
    request = ask(ledger)
    take(ledger, request, answer={"by": "the first"})
    assert take(ledger, request, answer={"by": "the second"}) is None
    assert requests.get_request(ledger, request.id).answer == {"by": "the first"}


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


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        pytest.param({"kind": "teleport"}, "this tminus does not know the request 'teleport'", id="kind"),
        pytest.param({"body": "{"}, "the request is not a JSON object", id="no-json"),
        pytest.param({"body": "[" * 100_000}, "the request is not a JSON object", id="deep"),
        pytest.param({"body": "7"}, "the request is not a JSON object", id="no-object"),
        pytest.param(
            {"body": '"' + "x" * (1 << 20) + '"'}, "the request has more than 1048576 characters", id="huge"
        ),
    ],
)
def test_a_row_that_is_not_understood_hides_no_other(ledger: Ledger, row: dict[str, str], fault: str) -> None:
    with ledger.write() as connection:
        connection.execute(
            sa.insert(rows).values({"id": "x", "kind": "run_now", "body": "{}", "created_ns": T} | row)
        )
        connection.execute(
            sa.insert(rows).values(
                {"id": "y", "kind": "cancel", "body": '{"number": "7"}', "created_ns": T + 1}
            )
        )
    request = ask(ledger, at_ns=T + 2)
    strange, _, last = requests.pending(ledger)
    assert (strange.id, (strange.fault or "")[: len(fault)]) == ("x", fault)
    assert last == request
    assert requests.runs_to_cancel(ledger) == set()
    assert requests.get_request(ledger, strange.id).fault == strange.fault


def test_a_commit_that_raises_and_is_durable_is_no_error(ledger: Ledger) -> None:
    with one_commit_raises(ledger):
        request = ask(ledger)
    with one_commit_raises(ledger):
        assert requests.withdraw(ledger, request, now_ns=T)
    assert not requests.withdraw(ledger, request, now_ns=T)
    request, instance = ask(ledger), an_instance(ledger)
    with one_commit_raises(ledger):
        assert requests.take(ledger, request, instance=instance, execute=lambda _: {"ok": True}) == {
            "ok": True
        }
    with one_commit_raises(ledger):
        work = Submission(app="shop", ref="shop:count", options={}, given={})
        accepted = submissions.submit(ledger, work, now_ns=T)
    assert submissions.get_status(ledger, accepted.id)


def test_a_commit_that_raises_and_is_not_durable_is_an_error(ledger: Ledger) -> None:
    request, instance = ask(ledger), an_instance(ledger)
    with one_commit_raises(ledger, is_durable=False), pytest.raises(LedgerError):
        requests.take(ledger, request, instance=instance, execute=lambda _: {"ok": True})
    assert requests.pending(ledger) == [request]


def test_a_request_whose_execution_breaks_is_left_for_another_try(ledger: Ledger) -> None:
    request = ask(ledger)

    def breaks(connection: Connection) -> Mapping[str, Any]:
        claims.queue(connection, dues_of("pay"), request=request.id)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        requests.take(ledger, request, instance=an_instance(ledger), execute=breaks)
    assert requests.pending(ledger) == [request]
    assert history.find(ledger) == []


def test_what_a_request_makes_is_there_when_it_is_taken_and_not_before(ledger: Ledger) -> None:
    request = ask(ledger)

    def execute(connection: Connection) -> Mapping[str, Any]:
        return {"queued": claims.queue(connection, dues_of("pay"), request=request.id)}

    assert requests.take(ledger, request, instance=an_instance(ledger), execute=execute) == {"queued": True}
    assert [one.id for one in history.unfinished(ledger)] == [due.id for due in dues_of("pay")]


def test_of_takers_and_a_withdrawal_at_the_same_moment_one_wins(ledger: Ledger) -> None:
    for number in range(10):
        request, together = ask(ledger, at_ns=T + number), threading.Barrier(3)

        def try_to_take(request: RequestRow = request, together: threading.Barrier = together) -> bool:
            together.wait(PATIENCE_S)
            return take(ledger, request) is not None

        def try_to_withdraw(request: RequestRow = request, together: threading.Barrier = together) -> bool:
            together.wait(PATIENCE_S)
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
    assert json.dumps(requests.get_request(ledger, ask(ledger).id).body) == json.dumps(BODY)
