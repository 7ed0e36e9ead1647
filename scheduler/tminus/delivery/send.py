"""Send a notification to its channel, whatever its type."""

import re
from collections.abc import Iterator

from tminus import templates
from tminus.delivery.apprise_process import AppriseFailed, send_by_apprise
from tminus.delivery.healthchecks import ping_body, ping_url
from tminus.delivery.http_post import PostFailed, post
from tminus.delivery.webhook import document_of, headers_of
from tminus.errors import InvalidText, TminusError, printable, shorten
from tminus.model.notification import Channel, ChannelType, Notification
from tminus.secrets.files import CannotRead
from tminus.secrets.redaction import Redaction
from tminus.secrets.references import References, Unresolved

_LONGEST_REASON = 300
#: Parts of a URL that may be secrets: tokens of services, and parts of paths.
_PARTS = re.compile(r"[^/:@?&=,;#]{8,}")


class NotDelivered(TminusError):
    """A notification was not delivered, or it is unknown whether it was. The message has no secrets."""


def send(channel: Channel, one: Notification, references: References, *, now_ns: int) -> None:
    """
    Send a notification. It takes at most half a minute, except if a file of a secret hangs.

    Args:
        channel: The channel.
        one: The notification.
        references: Resolves the channel's `${…}`.
        now_ns: Wall clock.

    Raises:
        NotDelivered: it was not delivered, or it is unknown whether it was.
    """
    try:
        url = _resolved(channel.url, references)
        secret = None if channel.secret is None else _resolved(channel.secret, references)
    except (Unresolved, CannotRead) as error:
        raise NotDelivered(str(error)) from None
    try:
        _send(channel, one, url=url, secret=secret, now_ns=now_ns)
    except (AppriseFailed, PostFailed) as error:
        redaction = Redaction([*_secrets(channel, url), *([secret] if secret else [])])
        raise NotDelivered(shorten(printable(redaction.text(str(error))), _LONGEST_REASON)) from None
    except InvalidText as error:
        raise NotDelivered(f"the secret cannot be used: {error.message}", hint=error.hint) from None


def _send(channel: Channel, one: Notification, *, url: str, secret: str | None, now_ns: int) -> None:
    match channel.type:
        case ChannelType.APPRISE:
            send_by_apprise(url, one)
        case ChannelType.WEBHOOK:
            document = document_of(one)
            headers = headers_of(one, document, secret=secret, now_ns=now_ns)
            post(url, document, {"Content-Type": "application/json", **headers})
        case ChannelType.HEALTHCHECKS:
            post(ping_url(url, one), ping_body(one), {"Content-Type": "text/plain; charset=utf-8"})


def _resolved(text: str, references: References) -> str:
    return str(templates.render(text, {}, references.value_of))


def _secrets(channel: Channel, url: str) -> Iterator[str]:
    """Yield what a reason must not quote of a URL. Where Apprise has a host, there may be a token."""
    rest = url.partition("://")[2]
    if channel.type is not ChannelType.APPRISE:
        rest = rest.partition("/")[2]
    yield url
    yield from rest.rpartition("@")[0].split(":")
    yield from _PARTS.findall(rest)
