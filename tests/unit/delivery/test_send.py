"""Deliveries to a real server: what arrives, and what is said if nothing does; never a secret."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.target import TargetServer
from tminus.delivery import apprise_process, http_post
from tminus.delivery.healthchecks import ping_url
from tminus.delivery.send import NotDelivered, send
from tminus.delivery.webhook import headers_of, signature_of
from tminus.instants import SECOND
from tminus.model.notification import Channel, ChannelType, Notification, NotificationKind
from tminus.secrets.references import References

T = 1_763_638_200 * SECOND  # 2025-11-20T11:30:00Z
#: Nothing listens there.
NOBODY = "http://127.0.0.1:1"


def a_notification(kind: NotificationKind = NotificationKind.FAILED, **different: Any) -> Notification:
    values: dict[str, Any] = {
        "channel": "ops",
        "about": "pay@2025-11-20T11:30:00Z",
        "created_ns": T,
        "title": "pay failed",
        "text": "pay@2025-11-20T11:30:00Z failed: status: 503",
        "data": {"jobs": 1},
        "id": 7,
    }
    return Notification(kind=kind, **{**values, **different})


def deliver(
    url: str,
    kind: ChannelType = ChannelType.WEBHOOK,
    one: Notification | None = None,
    *,
    folder: Path = Path(),
    **environ: str,
) -> None:
    secret = environ.pop("secret", None)
    channel = Channel(name="ops", type=kind, url=url, secret=secret)
    send(channel, one or a_notification(), References(str(folder), environ), now_ns=T + SECOND)


def test_a_webhook_gets_a_signed_document(target: TargetServer) -> None:
    deliver("${env:BASE}/ok", secret="${env:KEY}", BASE=target.url, KEY="a secret of some length")
    (arrival,) = target.arrivals
    assert (arrival.method, arrival.path) == ("POST", "/ok")
    document = json.loads(arrival.body)
    assert document == {
        "type": "failed",
        "timestamp": "2025-11-20T11:30:00Z",
        "data": {
            "channel": "ops",
            "title": "pay failed",
            "text": "pay@2025-11-20T11:30:00Z failed: status: 503",
            "jobs": 1,
        },
    }
    signed = f"{arrival.headers['webhook-id']}.{arrival.headers['webhook-timestamp']}.".encode()
    digest = hmac.new(b"a secret of some length", signed + arrival.body, hashlib.sha256).digest()
    assert arrival.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert arrival.headers["webhook-timestamp"] == str(T // SECOND + 1)
    assert arrival.headers["content-type"] == "application/json"
    assert arrival.headers["user-agent"].startswith("tminus/")


def test_a_signature_is_that_of_standard_webhooks() -> None:
    """The example of its specification."""
    document = b'{"event_type":"ping","data":{"success":true}}'
    secret, identity = "whsec_plJ3nmyCDGBKInavdOK15jsl", "msg_loFOjxBNrRLzqYUf"
    signature = signature_of(identity, "1731705121", document, secret=secret)
    assert signature == "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="


def test_a_key_that_is_not_base64_signs_nothing(target: TargetServer) -> None:
    with pytest.raises(NotDelivered) as failed:
        deliver(f"{target.url}/ok", secret="${env:KEY}", KEY="whsec_s3cret-canary")
    assert failed.value.message == "the secret cannot be used: what follows whsec_ is not base64"
    assert target.arrivals == []


def test_all_tries_of_a_notification_have_the_same_id() -> None:
    first, again = a_notification(), a_notification(tries=3)
    ids = {
        headers_of(one, b"", secret=None, now_ns=T + one.tries * SECOND)["webhook-id"]
        for one in (first, again)
    }
    assert len(ids) == 1
    assert "webhook-signature" not in headers_of(first, b"", secret=None, now_ns=T)


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (NotificationKind.PING_START, "/uuid/start"),
        (NotificationKind.PING_SUCCESS, "/uuid"),
        (NotificationKind.PING_FAIL, "/uuid/fail"),
        (NotificationKind.TEST, "/uuid/log"),
    ],
)
def test_a_check_gets_its_pings(target: TargetServer, kind: NotificationKind, path: str) -> None:
    deliver(f"{target.url}/uuid", ChannelType.HEALTHCHECKS, a_notification(kind))
    (arrival,) = target.arrivals
    assert (arrival.method, urlsplit(arrival.path).path) == ("POST", path)
    assert arrival.body.decode().splitlines()[0] == "pay failed"


def test_the_pings_of_a_run_have_the_same_run_id_and_keep_the_query() -> None:
    url = "https://hc.example.com/key/slug/?create=1"
    start = urlsplit(ping_url(url, a_notification(NotificationKind.PING_START)))
    fail = urlsplit(ping_url(url, a_notification(NotificationKind.PING_FAIL)))
    assert (start.path, fail.path) == ("/key/slug/start", "/key/slug/fail")
    assert parse_qs(start.query) == parse_qs(fail.query)
    assert parse_qs(start.query)["create"] == ["1"]
    assert len(parse_qs(start.query)["rid"][0]) == 36
    assert ping_url(url, a_notification(NotificationKind.PING_SUCCESS, about="")).endswith(
        "/key/slug?create=1"
    )


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("URL/status/503", "the server answered 503"),
        ("URL/redirect?to=/ok", "the server answered 302"),
        ("URL/close", "Empty reply from server"),
        (f"{NOBODY}/x", "Could not connect to server"),
        ("${env:NOT_THERE}", "secret NOT_THERE not found"),
        ("${file:no-such-file}", "secret no-such-file not found: no such file"),
        ("ftp://127.0.0.1/x", "ftp"),
    ],
)
def test_a_failure_says_why(target: TargetServer, tmp_path: Path, url: str, reason: str) -> None:
    with pytest.raises(NotDelivered) as failed:
        deliver(url.replace("URL", target.url), folder=tmp_path)
    assert reason in failed.value.message


def test_an_address_that_may_not_be_called_gets_nothing(
    target: TargetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_post, "may_connect", lambda peer: peer != "127.0.0.1")
    with pytest.raises(NotDelivered, match=r"127\.0\.0\.1 may not be called"):
        deliver(f"{target.url}/ok")
    assert target.arrivals == []


def test_a_failure_quotes_no_secret(target: TargetServer) -> None:
    with pytest.raises(NotDelivered) as failed:
        deliver("${env:URL}", URL="http://no-such-host.invalid/T0KEN-T0KEN-T0KEN")
    assert "T0KEN" not in failed.value.message
    with pytest.raises(NotDelivered) as failed:
        deliver("gopher-T0KEN-T0KEN://${env:KEY}@x/", ChannelType.WEBHOOK, KEY="hunter2hunter2")
    assert "hunter2" not in failed.value.message


def test_without_apprise_the_reason_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apprise_process, "find_spec", lambda _: None)
    with pytest.raises(NotDelivered, match=r"pip install '\.\[notify\]'"):
        deliver("json://127.0.0.1", ChannelType.APPRISE)


@pytest.mark.processes
def test_apprise_sends_a_message(target: TargetServer) -> None:
    deliver(f"json://127.0.0.1:{target.port}/ok", ChannelType.APPRISE)
    (arrival,) = target.arrivals
    document = json.loads(arrival.body)
    assert (document["title"], document["type"]) == ("pay failed", "failure")
    assert "status: 503" in document["message"]


@pytest.mark.processes
@pytest.mark.parametrize(
    "url", ["json://tok3n-user:hunter2@127.0.0.1:1/", "no-such-service://tok3n-user:hunter2/", "tok3n-user"]
)
def test_apprise_says_why_it_has_not_sent_and_quotes_no_secret(url: str) -> None:
    with pytest.raises(NotDelivered) as failed:
        deliver(url, ChannelType.APPRISE)
    assert failed.value.message
    assert "hunter2" not in failed.value.message
    assert "tok3n" not in failed.value.message


@pytest.mark.processes
def test_a_service_that_hangs_is_given_up(target: TargetServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apprise_process, "TIMEOUT_S", 0.01)
    with pytest.raises(NotDelivered, match="no answer within"):
        deliver(f"json://127.0.0.1:{target.port}/stall", ChannelType.APPRISE)
