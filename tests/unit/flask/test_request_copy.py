"""The copy of a request: what it contains, and that it contains no credentials."""

import json
from collections import UserDict
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask, request, session
from werkzeug.middleware.proxy_fix import ProxyFix

from tminus.flask import Scheduler
from tminus.flask.copy_rules import CopyRules
from tminus.flask.request_copy import copy_request

APP = Flask("shop")
APP.secret_key = "made up"

#: One key for each word of the list, and some in which it is a part.
HIDDEN = [
    *(
        "pass",
        "password",
        "password2",
        "passphrase",
        "pwd",
        "Secret",
        "client_secret",
        "token",
        "TOKEN",
        "reset_token",
    ),
    *(
        "api_key",
        "my_api_key_2",
        "auth",
        "Authorization",
        "oauth",
        "csrf",
        "csrf_token",
        "session",
        "sessionid",
        "card",
        "CardNumber",
    ),
    *("cvv", "cvv2", "otp", "otp_code", "pin", "PIN", "new_pin"),
]
SHOWN = ["username", "email", "page", "q", "amount", "key"]


def copied(
    keys: CopyRules | None = None, *, session_values: dict[str, Any] | None = None, **what: Any
) -> dict[str, Any]:
    """Return the copy of a request."""
    with APP.test_request_context(**what):
        session.update(session_values or {})
        return copy_request(request, session, keys or CopyRules())


def headers_of(copy: dict[str, Any]) -> dict[str, str]:
    """Return the headers by their names."""
    return dict(copy["headers"])


@pytest.mark.parametrize("key", HIDDEN)
def test_a_key_that_may_name_a_credential_is_masked_everywhere(key: str) -> None:
    values = {"kept": "1", key: "canary"}
    form = copied(method="POST", query_string=values, data=values)
    nested = copied(method="POST", json={"list": [{"deep": values}], key: {"inside": ["canary"]}})
    in_session = copied(session_values={"deep": [values], key: ("canary",)})
    assert parse_qs(form["body"]) == parse_qs(urlsplit(form["path"]).query) == {"kept": ["1"], key: ["***"]}
    assert json.loads(nested["body"]) == {"list": [{"deep": {"kept": "1", key: "***"}}], key: "***"}
    assert json.loads(in_session["session"]) == {"deep": [{"kept": "1", key: "***"}], key: "***"}


def test_other_keys_keep_their_values() -> None:
    values = dict.fromkeys(SHOWN, "1")
    assert parse_qs(copied(method="POST", data=values)["body"]) == {key: ["1"] for key in SHOWN}


def test_a_query_without_credentials_is_copied_unchanged() -> None:
    assert copied(path="/a", query_string="b=%20c&d")["path"] == "/a?b=%20c&d"


def test_headers_are_copied_by_a_list() -> None:
    sent = {
        "User-Agent": "Browser/1",
        "Accept": "text/html",
        "Accept-Language": "de",
        "X-Request-Id": "4711",
        "Traceparent": "00-1-2-01",
        "X-B3-Traceid": "1",
        "Authorization": "Bearer canary",
        "Cookie": "session=canary",
        "X-Api-Key": "canary",
        "X-Auth-Token": "canary",
        "X-Forwarded-Access-Token": "canary",
        "X-Tenant": "canary",
    }
    kept = headers_of(copied(headers=sent))
    assert set(kept) == {
        "Host",
        "User-Agent",
        "Accept",
        "Accept-Language",
        "X-Request-Id",
        "Traceparent",
        "X-B3-Traceid",
    }
    assert "canary" not in str(kept)


def test_the_referer_has_neither_query_nor_fragment_nor_user() -> None:
    sent = {"Referer": "https://me:canary@shop.example/reset?x=canary#canary"}
    assert headers_of(copied(headers=sent))["Referer"] == "https://shop.example/reset"


def test_an_application_can_add_headers_and_leave_out_more() -> None:
    keys = CopyRules(drop=["nickname", "user-agent", "X-TENANT-ID"], keep_headers=["x-tenant", "X-Tenant-Id"])
    sent = {"X-Tenant": "1", "X-Tenant-Id": "2", "User-Agent": "Browser/1"}
    copy = copied(keys, method="POST", data={"NickName": "canary"}, headers=sent)
    assert set(headers_of(copy)) == {"Host", "Content-Type", "X-Tenant"}
    assert parse_qs(copy["body"]) == {"NickName": ["***"]}


@pytest.mark.parametrize("name", ["Authorization", "cookie", "Proxy-Authorization"])
def test_a_header_that_contains_credentials_cannot_be_kept(name: str) -> None:
    with pytest.raises(ValueError, match="contains credentials and is never copied"):
        Scheduler(keep_headers=[name])


def test_scheme_host_and_mount_point_are_copied_as_the_application_saw_them() -> None:
    behind_a_proxy = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "shop.example",
        "X-Forwarded-Prefix": "/shop",
    }
    app = Flask("mounted")
    copies: list[dict[str, Any]] = []

    @app.get("/page")
    def page() -> str:
        copies.append(copy_request(request, session, CopyRules()))
        return ""

    app.wsgi_app = ProxyFix(app.wsgi_app, x_host=1, x_prefix=1)  # type: ignore[method-assign]
    app.test_client().get("/page?n=1", headers=behind_a_proxy)
    assert (copies[0]["base_url"], copies[0]["path"]) == ("https://shop.example/shop/", "/page?n=1")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param("a note\nin two lines, 2+2=4", "a note\nin two lines, 2+2=4", id="text"),
        pytest.param(
            "name=ada\r\npassword2=can ary\r\n", "name=ada\r\npassword2=***\r\n", id="a-form-as-text"
        ),
        pytest.param("q=1&token=can&ary", "q=1&token=***", id="encoded"),
        pytest.param("Api-Key: canary\nq: 1", "Api-Key:***\nq: 1", id="headers"),
        pytest.param('{"pin": "canary"}\n{"q": 1}\n', '{"pin": "***"}\n{"q": 1}\n', id="json-in-lines"),
        pytest.param('\ufeff{"pin": "canary"}', '{"pin": "***"}', id="json-with-a-mark"),
        pytest.param('{"pin": "canary', '{"pin":***', id="json-that-is-cut"),
        pytest.param('{"pin": "canary", "q": ["1"]}', '{"pin": "***", "q": ["1"]}', id="json"),
        pytest.param("4711", "4711", id="a-number"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_the_text_of_a_body_is_kept_with_the_same_masks(sent: str, kept: str) -> None:
    copy = copied(method="PUT", data=sent, content_type="text/plain; charset=iso-8859-1")
    assert (copy["body"], headers_of(copy)["Content-Type"]) == (kept, "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    "content_type", ["image/png", "text/xml", "text/yaml", "application/octet-stream", ""]
)
def test_a_body_of_another_type_is_not_kept(content_type: str) -> None:
    assert copied(method="PUT", data=b"<Password>canary</Password>", content_type=content_type)["body"] == ""


@pytest.mark.parametrize("path", ["/a%3Fb", "/100%2541", "/a%23b", "/b%C3%BCro/x;y=1"])
def test_a_path_is_copied_so_that_it_is_the_same_path(path: str) -> None:
    copy = copied(path=path, query_string="q=1")
    with (
        APP.test_request_context(copy["path"], base_url=copy["base_url"]) as again,
        APP.test_request_context(path) as sent,
    ):
        assert (again.request.path, again.request.query_string) == (sent.request.path, b"q=1")


def test_what_cannot_be_stored_of_a_session_is_left_out_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    circle: list[Any] = []
    circle.append(circle)
    values = {"basket": {1, 2}, "circle": circle, "user": 7, "when": datetime(2026, 11, 20, tzinfo=UTC)}
    copy = copied(session_values=values)
    assert set(json.loads(copy["session"])) == {"user", "when"}
    assert [record.args[0] for record in caplog.records] == ["basket", "circle"]  # type: ignore[index]


class Login(NamedTuple):
    """A value that only a session on a server can have."""

    password: dict[str, str]


@pytest.mark.parametrize(
    "deep", [({"token": "canary"},), Login({"token": "canary"}), UserDict(token="canary")]
)
def test_values_of_any_class_in_a_session_are_masked(deep: object) -> None:
    assert "canary" not in copied(session_values={"deep": deep})["session"]
