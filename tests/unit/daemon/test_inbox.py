"""The inbox: each request row is taken once, answered, and costs no other request anything."""

import queue
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tests.support.daemon import eventually
from tests.support.ledgers import T, an_instance, one_commit_raises
from tests.support.moments import PATIENCE_S
from tminus.daemon.inbox import Handler, Inbox
from tminus.errors import LedgerError, UsageError
from tminus.ledger import requests
from tminus.ledger.engine import Ledger
from tminus.ledger.requests import RequestKind, RequestRow
from tminus.ledger.tables import requests as rows


def fine(_: Connection, request: RequestRow) -> Mapping[str, Any]:
    return {"did": request.body["n"]}


@contextmanager
def inbox(ledger: Ledger, answer: Handler = fine) -> Iterator["queue.SimpleQueue[RequestRow]"]:
    """One that works; yields what it has taken."""
    taken: queue.SimpleQueue[RequestRow] = queue.SimpleQueue()
    instance = an_instance(ledger)
    inbox = Inbox(ledger, instance=instance, handler=answer, on_taken=taken.put, on_change=lambda: None)
    inbox.start()
    try:
        yield taken
    finally:
        inbox.stop(60)


def ask(ledger: Ledger, n: int) -> RequestRow:
    return requests.add_request(ledger, RequestKind.RUN_NOW, {"n": n}, now_ns=T + n)


def answer_to(ledger: Ledger, request: RequestRow) -> Mapping[str, Any]:
    return eventually(lambda: requests.get_request(ledger, request.id).answer)  # type: ignore[no-any-return]


def test_rows_that_are_not_understood_are_answered_with_an_error_one_by_one(ledger: Ledger) -> None:
    with ledger.write() as connection:
        for number, strange in enumerate(
            [{"kind": "teleport"}, {"body": "{"}, {"body": '"' + "x" * (1 << 20) + '"'}]
        ):
            row = {"id": f"strange {number}", "kind": "run_now", "body": "{}", "created_ns": number}
            connection.execute(sa.insert(rows).values(row | strange))
    before = requests.pending(ledger)
    request = ask(ledger, 1)
    with inbox(ledger) as taken:
        assert taken.get(timeout=PATIENCE_S) == request
        answers = [answer_to(ledger, strange) for strange in before]
        assert [answer["error"] for answer in answers] == [strange.fault for strange in before]
        hint = "is the daemon older than this command? restart it"
        assert [answer["hint"] for answer in answers] == [hint, None, None]
    assert len(before) == 3


def test_what_goes_first_is_taken_first_even_if_hundreds_of_requests_are_older(ledger: Ledger) -> None:
    others = [ask(ledger, number) for number in range(requests._MOST)]
    pauses = [
        requests.add_request(ledger, RequestKind.PAUSE, {"n": number}, now_ns=T + requests._MOST + number)
        for number in range(requests._MOST + 1)
    ]
    taken: queue.SimpleQueue[RequestRow] = queue.SimpleQueue()
    instance = an_instance(ledger)
    inbox = Inbox(ledger, instance=instance, handler=fine, on_taken=taken.put, on_change=lambda: None)
    inbox.take_first()
    assert [taken.get_nowait() for _ in pauses] == pauses
    assert requests.pending(ledger) == others


@pytest.mark.parametrize("error", [KeyError("jobs"), UsageError("no such thing")])
def test_a_request_that_breaks_its_answer_costs_itself_and_leaves_nothing(
    ledger: Ledger, error: Exception
) -> None:
    def breaks(connection: Connection, request: RequestRow) -> Mapping[str, Any]:
        if request.body["n"] == 1:
            connection.execute(
                sa.insert(rows).values({"id": "half", "kind": "x", "body": "{}", "created_ns": 1})
            )
            raise error
        return {"did": request.body["n"]}

    bad, good = ask(ledger, 1), ask(ledger, 2)
    with inbox(ledger, breaks) as taken:
        assert taken.get(timeout=PATIENCE_S) == good
        assert answer_to(ledger, bad)["exit_code"] == getattr(error, "exit_code", 1)
    with ledger.read() as connection:
        assert connection.execute(sa.select(rows.c.id).where(rows.c.id == "half")).first() is None


def test_a_request_whose_commit_raised_is_acted_on_once_it_is_known_to_be_durable(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, calls = ask(ledger, 1), queue.SimpleQueue[None]()

    def once(connection: Connection, request: RequestRow) -> Mapping[str, Any]:
        calls.put(None)
        return fine(connection, request)

    # The server is away when the commit is to be read back, too.
    monkeypatch.setattr(ledger, "_sees", lambda _: False)
    instance = an_instance(ledger)
    taken: queue.SimpleQueue[RequestRow] = queue.SimpleQueue()
    inbox = Inbox(ledger, instance=instance, handler=once, on_taken=taken.put, on_change=lambda: None)
    with one_commit_raises(ledger):
        inbox.start()
        assert taken.get(timeout=PATIENCE_S) == request
    inbox.stop(60)
    assert (calls.qsize(), taken.qsize()) == (1, 0)


def test_a_request_that_is_deleted_while_it_is_taken_costs_no_other_one(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = requests.take

    def take(ledger: Ledger, request: RequestRow, **more: Any) -> Any:
        if request.body["n"] != 1:
            return original(ledger, request, **more)
        with ledger.write() as connection:
            connection.execute(rows.delete().where(rows.c.id == request.id))
        raise LedgerError("the commit raised")

    monkeypatch.setattr(requests, "take", take)
    ask(ledger, 1)
    second = ask(ledger, 2)
    with inbox(ledger) as taken:
        assert taken.get(timeout=PATIENCE_S) == second
