"""JSON that is stored and sent: limited in depth and length."""

import json
import re
from typing import Any

#: Limit for the levels of arrays and objects. Applications may rely on this many.
MOST_LEVELS = 100
#: Limit for the arguments of `submit`, in bytes, and for the copy of the request.
MOST_BYTES = 1 << 20

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_NESTED = "nested more than 100 levels deep"


def dumps(value: Any, *, most_bytes: int | None = None, ensure_ascii: bool = True) -> str:
    """
    Return the value as JSON.

    Raises:
        TypeError: the value is not JSON, or it is nested too deeply.
        ValueError: it is longer than `most_bytes`.
    """
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=ensure_ascii)
    except RecursionError:
        raise TypeError(_NESTED) from None
    except ValueError as error:
        raise TypeError(str(error)) from None
    if is_too_deep(text):
        raise TypeError(_NESTED)
    if most_bytes is not None and len(text) > most_bytes:
        raise ValueError(f"longer than {most_bytes} bytes as JSON ({len(text)})")
    return text


def is_too_deep(text: str) -> bool:
    """Return whether a JSON text has more than `MOST_LEVELS` levels."""
    if text.count("[") + text.count("{") <= MOST_LEVELS:
        return False
    level = 0
    for character in _TEXT.sub("", text):
        if character in "[{":
            level += 1
            if level > MOST_LEVELS:
                return True
        elif character in "]}":
            level -= 1
    return False
