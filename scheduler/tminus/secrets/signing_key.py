"""
The key that signs the documents of a webhook.

Source: the specification of Standard Webhooks.
"""

import base64

from tminus.errors import InvalidText

_PREFIX = "whsec_"


def signing_key(secret: str) -> bytes:
    """
    Return the key that a secret stands for: the text itself, or, if it begins with `whsec_`, the decoded
    base64 after that.

    Raises:
        InvalidText: what follows `whsec_` is not base64. The message does not quote it.
    """
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not key:
        hint = "copy the whole key, up to its last =; `openssl rand -base64 32` makes a new one"
        raise InvalidText("what follows whsec_ is not base64", hint=hint)
    return key
