"""A request on its way to `prepare` and back: what it gets, and what of it is taken."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.values import a_due, a_job
from tminus.daemon.attempts.http_message import parse_headers
from tminus.daemon.attempts.render import CannotRender, Renderer
from tminus.daemon.batches import prepare_call
from tminus.executors.http.wire import Request
from tminus.executors.python import payload_objects
from tminus.instants import SECOND, parse_rfc3339
from tminus.model.job import HttpTarget
from tminus.secrets.redaction import Redaction
from tminus.secrets.references import References

AT = parse_rfc3339("2026-11-20T11:30:00Z")


def a_request(folder: Path, **different: Any) -> tuple[Any, Request]:
    """A due, and its request as rendered."""
    target = HttpTarget(
        **({"url": "http://shop.example.com/sync", "method": "POST", "body": "hello"} | different)
    )
    due = a_due(a_job(target=target, misfire_grace_ns=30 * SECOND), fire_time_ns=AT)
    rendered = Renderer(References(str(folder), {}), keep_body=100).render(due, 7)
    assert isinstance(rendered, Request)
    return due, rendered


def changed(request: Request, *secrets: str, **different: Any) -> Request:
    """What is made of it where `prepare` has changed that."""
    body = None if request.body is None else b64encode(request.body).decode()
    made = {
        "url": request.url,
        "headers": parse_headers(request.headers),
        "body": body,
    } | different
    return prepare_call.apply_changes(
        "hooks:sign", request, json.dumps({"request": made}).encode(), Redaction(secrets)
    )


def test_what_comes_back_as_it_went_is_the_same_request(tmp_path: Path) -> None:
    _, request = a_request(tmp_path, headers={"X-Empty": "", "X-Colon": "a: b; c;"})
    assert changed(request) == request


def test_a_body_without_a_type_stays_without_one(tmp_path: Path) -> None:
    _, request = a_request(tmp_path, body=None)
    assert changed(request, body=b64encode(b"hello").decode()).headers == request.headers


def test_it_gets_as_long_as_the_job_may_be_late(tmp_path: Path) -> None:
    due, request = a_request(tmp_path)
    call = prepare_call.prepare_work("hooks:sign", due, request, now_ns=AT - 2 * SECOND, keep_output=100)
    assert (call.latest_ns, call.total_ns) == (AT + 30 * SECOND, 32 * SECOND)


def test_the_request_around_it_has_path_and_query_and_no_host(tmp_path: Path) -> None:
    due, request = a_request(tmp_path, url="http://shop.example.com//two?n=1")
    around = prepare_call.prepare_work("hooks:sign", due, request, now_ns=AT, keep_output=100).request
    assert (around.method, around.path, around.body) == ("POST", "/two?n=1", b"hello")


@pytest.mark.parametrize(
    ("different", "words"),
    [
        pytest.param({"url": "shop"}, ": url: only http, https", id="no-url"),
        pytest.param({"url": "http://"}, ": url: no host", id="no-host"),
        pytest.param({"url": "http://x/a b"}, ": url: illegal character at 11", id="blank-in-the-url"),
        pytest.param({"url": "http://x/{{ a\r\n }}"}, "", id="what-a-template-may-hold"),
        pytest.param(
            {"url": "http://x/\ud800"}, ": url: illegal character at 10", id="half-a-character-in-the-url"
        ),
        pytest.param(
            {"headers": [["Content-Length", "3"]]}, ": Content-Length cannot be given; it follows", id="ours"
        ),
        pytest.param(
            {"headers": [["X", "a\nb"]]}, ": control character U+000A in a header", id="two-headers-in-one"
        ),
        pytest.param({"headers": [["X", "\ud800"]]}, "", id="half-a-character-in-a-header"),
    ],
)
def test_what_may_not_be_sent_is_refused_in_a_sentence(
    tmp_path: Path, different: dict[str, Any], words: str
) -> None:
    _, request = a_request(tmp_path)
    with pytest.raises(CannotRender) as refused:
        changed(request, **different)
    assert refused.value.message.startswith(f"prepare hooks:sign made what may not be sent{words}")


def test_where_a_secret_of_the_job_is_in_it_the_sentence_quotes_nothing(tmp_path: Path) -> None:
    _, request = a_request(tmp_path)
    with pytest.raises(CannotRender) as refused:
        changed(request, "hunter2", url="http://hunter2_.!/")
    assert refused.value.message.endswith(": there is a secret in it, so no more is said")


def test_a_method_without_a_body_keeps_none(tmp_path: Path) -> None:
    _, request = a_request(tmp_path, method="GET", body=None)
    assert changed(request, body="").body is None
    with pytest.raises(CannotRender, match="method GET has no body"):
        changed(request, body=b64encode(b"hello").decode())


def the_object(**different: Any) -> payload_objects.Request:
    """What the function is given."""
    values: dict[str, Any] = {
        "method": "POST",
        "url": "http://x/",
        "headers": [["X-Key", "made up"]],
        "body": "aGVsbG8=",
    }
    request = payload_objects.from_payload({"request": values | different})
    assert isinstance(request, payload_objects.Request)
    return request


def test_the_headers_that_it_gets_do_not_tell_upper_from_lower_case() -> None:
    headers = the_object().headers
    headers["x-key"] = "other"
    headers.setdefault("X-KEY", "third")
    assert (headers["X-Key"], dict(headers)) == ("other", {"x-key": "other"})


def test_a_text_for_a_body_is_utf_8() -> None:
    request = the_object(body=None)
    request.body = "grün"
    assert request.body == "grün".encode()


def test_nothing_that_it_gets_shows_a_value() -> None:
    assert (repr(the_object()), repr(the_object().headers)) == ("<Request POST>", "<Headers X-Key>")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("body", {"n": 1}, "body must be bytes, a str or None, not dict"),
        ("url", b"http://x/", "url must be a str, not bytes"),
        ("url", "http://x/\ud800", "surrogates not allowed"),
        ("headers", {"X": 1}, "the header X must be a str, not int"),
        ("headers", {"X: 1": ""}, "the name of a header has letters, digits and - only"),
        ("headers", {"X": "a\r\nb"}, "there is a line break, or another control character, in the header X"),
        ("bdy", b"", "has no attribute 'bdy'"),
        ("method", "GET", "has no setter"),
    ],
)
def test_what_it_may_not_be_set_to_is_refused_at_that_line(name: str, value: Any, words: str) -> None:
    with pytest.raises((AttributeError, TypeError, ValueError), match=words):
        setattr(the_object(), name, value)


def test_a_body_that_is_too_long_to_be_handed_over_fails_its_job(tmp_path: Path) -> None:
    due, request = a_request(tmp_path, body="x" * (4 << 20))
    prepare_call.prepare_work("hooks:sign", due, request, now_ns=AT, keep_output=100)
    longer = msgspec.structs.replace(request, body=b"x" * ((4 << 20) + 1))
    with pytest.raises(CannotRender, match="prepare hooks:sign gets no body of more than 4 MiB"):
        prepare_call.prepare_work("hooks:sign", due, longer, now_ns=AT, keep_output=100)
