"""The pings of a check, as healthchecks.io documents them (healthchecks.io/docs/http_api)."""

import uuid
from urllib.parse import urlsplit, urlunsplit

from tminus.model.notification import Notification, NotificationKind

_ENDPOINTS = {
    NotificationKind.PING_START: "/start",
    NotificationKind.PING_SUCCESS: "",
    NotificationKind.PING_FAIL: "/fail",
    NotificationKind.TEST: "/log",  # it changes nothing
}
#: A server keeps at least this much of a ping's body.
_LONGEST_BODY = 10_000


def ping_url(url: str, one: Notification) -> str:
    """Return the URL of a ping. The pings of one occurrence have the same run id."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/") + _ENDPOINTS[one.kind]
    run = f"rid={uuid.uuid5(uuid.NAMESPACE_OID, one.about)}" if one.about else ""
    return urlunsplit((parts.scheme, parts.netloc, path, "&".join(filter(None, (parts.query, run))), ""))


def ping_body(one: Notification) -> bytes:
    """Return the text that the check keeps with the ping."""
    return f"{one.title}\n{one.text}".strip().encode(errors="backslashreplace")[:_LONGEST_BODY]
