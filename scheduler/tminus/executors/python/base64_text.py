"""Base64, decoded in pieces, because a long text would keep the GIL from all other threads."""

from base64 import b64decode

#: Characters of a piece; a multiple of four, which are three bytes.
_PIECE = 1 << 20


def decoded(text: str) -> bytes:
    """
    Return the bytes of a text.

    Raises:
        ValueError: the text is not base64.
    """
    return b"".join(b64decode(text[at : at + _PIECE]) for at in range(0, len(text), _PIECE))
