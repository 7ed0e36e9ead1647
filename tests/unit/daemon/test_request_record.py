"""What is stored of a request that was sent: no secrets, and not more than a bounded part."""

from dataclasses import replace

import pytest

from tminus.daemon.attempts.request_record import record_of
from tminus.executors.http.wire import Request
from tminus.executors.python.wire import RequestContext, Work
from tminus.model.sent_request import SentRequest
from tminus.secrets.redaction import Redaction

REDACTION = Redaction(["hunter2"])


def a_request(
    url: str = "http://x/", *, headers: list[str] | None = None, body: bytes | None = None
) -> Request:
    return Request(
        index=0,
        method="POST",
        url=url,
        headers=headers or [],
        body=body,
        connect_ms=1,
        first_byte_ms=0,
        total_ms=1,
        latest_ns=0,
        max_body=100,
        keep_body=100,
    )


def test_a_request_is_stored_as_it_was_sent_without_its_secrets() -> None:
    request = a_request(
        "http://joe:pw@x/?k=hunter2&token=plain&day=1",
        headers=["X-Key: a hunter2", "Authorization: Bearer plain", "X-Empty;", "Content-Type:"],
        body=b"key=HUNTER2&a=1",
    )
    assert record_of(request, REDACTION, keep_body=100) == SentRequest(
        method="POST",
        url="http://***@x/?k=***&token=***&day=1",
        headers=("X-Key: a ***", "Authorization: ***", "X-Empty: "),
        body="key=***&a=1",
        body_size=15,
    )


def test_a_request_is_stored_up_to_a_bounded_size() -> None:
    headers = [f"X-{number}: {'a' * 5_000}" for number in range(500)]
    request = a_request("http://x/" + "b" * 9_000, headers=headers, body=b"\xff" * (1 << 20))
    record = record_of(request, REDACTION, keep_body=1_000)
    assert record is not None
    assert (len(record.body), record.body_size) == (1_000, 1 << 20)
    assert len(record.to_text()) < 80_000
    assert SentRequest.from_text(record.to_text()) == record


def test_a_view_has_a_request_and_a_function_has_none() -> None:
    context = RequestContext(method="PUT", endpoint="shop.rebuild", headers=[["X-A", "1"]], body=b"{}")
    view = Work(
        index=0,
        job="a",
        occurrence="a@x",
        ref=None,
        request=context,
        latest_ns=0,
        total_ns=0,
        max_body=100,
        keep_body=100,
        keep_output=100,
    )
    assert record_of(view, REDACTION, keep_body=9) == SentRequest(
        method="PUT", url="shop.rebuild", headers=("X-A: 1",), body="{}", body_size=2
    )
    assert record_of(replace(view, ref="shop:pay"), REDACTION, keep_body=9) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"method": 1, "url": "", "headers": [], "body": "", "body_size": 0}']
)
def test_a_text_that_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"request|Expecting"):
        SentRequest.from_text(text)
