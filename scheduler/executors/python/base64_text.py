"""Base64, decoded piece by piece: a long text would keep the GIL from all other threads meanwhile."""

from base64 import b64decode

#: Characters; four of them are three bytes.
_PIECE = 1 << 20


def decoded(text: str) -> bytes:
    """
    Return the bytes of a text.

    Raises:
        ValueError: it is no base64.
    """
    return b"".join(b64decode(text[at : at + _PIECE]) for at in range(0, len(text), _PIECE))
