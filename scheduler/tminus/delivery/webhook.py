"""
The document of a webhook, and its signature.

Source: the specification of Standard Webhooks, whose libraries can verify a signature with a `whsec_` key.
"""

import base64
import hashlib
import hmac
import json

from tminus.instants import SECOND, rfc3339
from tminus.model.notification import Notification
from tminus.secrets.signing_key import signing_key


def document_of(notification: Notification) -> bytes:
    """Return the JSON document of a notification."""
    texts = {"channel": notification.channel, "title": notification.title, "text": notification.text}
    document = {
        "type": notification.kind.value,
        "timestamp": rfc3339(notification.created_ns),
        "data": {**texts, **notification.data},
    }
    # A lone surrogate becomes its JSON escape.
    return json.dumps(document, ensure_ascii=False).encode(errors="backslashreplace")


def headers_of(
    notification: Notification, document: bytes, *, secret: str | None, now_ns: int
) -> dict[str, str]:
    """
    Return the headers of a document.

    Args:
        notification: The notification. All tries have the same id, so that a receiver recognizes a repeated
            message.
        document: From `document_of`.
        secret: The key of the signature, `whsec_` and base64, or any text; None for no signature.
        now_ns: Wall clock.
    """
    identity = f"{notification.kind.value}_{notification.created_ns}_{notification.id}"
    timestamp = str(now_ns // SECOND)
    headers = {"webhook-id": identity, "webhook-timestamp": timestamp}
    if secret is not None:
        headers["webhook-signature"] = signature_of(identity, timestamp, document, secret=secret)
    return headers


def signature_of(identity: str, timestamp: str, document: bytes, *, secret: str) -> str:
    """Return the signature of a document with this id and this time, in seconds."""
    signed = f"{identity}.{timestamp}.".encode() + document
    digest = hmac.new(signing_key(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
