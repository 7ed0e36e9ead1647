"""Masking: which keys have secrets, and how their values are shown."""

import re
from bisect import bisect_left
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tminus.templates import has_parts

_SECRET = re.compile(
    r"pass(word|wd|phrase|code)?$|pwd$|secret|token|(api|access|private|secret|signing)[-_]?key|authorization|credential|^(set-)?cookie$|^apprise$",
    re.IGNORECASE,
)
_HARMLESS = re.compile(r"[-_](url|uri|file|path|id|name|type|ttl|expiry|count)s?$|^max[-_]", re.IGNORECASE)
_KEY = re.compile(
    r"""(?P<quote>["'])(?P<quoted>[^"']+)(?P=quote)\s*:\s*|(?<![\w.-])(?P<plain>[\w.-]++)\s*+:(?:\s+|$)"""
)
_PART = re.compile(r"\{\{|\$\{")
_OPEN_BRACKET = re.compile(r"[{\[]")
_END_IN_FLOW = re.compile(r"[,}\]]")
_USERINFO = re.compile(r"(?<=://)[^/?#\s\"']+(?=@)")


@lru_cache(maxsize=4096)
def is_secret_key(key: str) -> bool:
    """Return whether a value of such a key is most likely a secret."""
    return bool(_SECRET.search(key)) and not _HARMLESS.search(key)


def is_plain_secret(key: str, value: Any) -> bool:
    """Return whether a value is a secret in plain text, not `${…}` or `{{ … }}`."""
    return is_secret_key(key) and isinstance(value, str) and value != "" and not has_parts(value)


def mask_value(value: Any, *, is_secret: bool = False) -> Any:
    """
    Return a value with the secrets in plain text masked, at all levels, and the credentials in its URLs.

    Args:
        value: The value as written.
        is_secret: Whether a key above it has secrets.
    """
    if isinstance(value, Mapping):
        return {
            key: mask_value(item, is_secret=is_secret or is_secret_key(key)) for key, item in value.items()
        }
    if isinstance(value, list):
        return [mask_value(item, is_secret=is_secret) for item in value]
    if is_secret and value not in ("", None) and not isinstance(value, bool) and not has_parts(str(value)):
        return "***"
    return mask_url(value) if isinstance(value, str) else value


def mask_url(url: str) -> str:
    """Return a URL with its credentials masked."""
    return _USERINFO.sub(lambda found: found[0] if has_parts(found[0]) else "***", url)


def has_password(url: str) -> bool:
    """Return whether a URL has a password. A user name alone is not one."""
    found = _USERINFO.search(url)
    return found is not None and bool(found[0].partition(":")[2])


def mask_line(line: str) -> str:
    """
    Return a line of YAML with its secrets replaced by as many stars, so that columns do not move.

    If it is not clear where a value ends, this masks too much rather than too little.
    """
    line = _USERINFO.sub(lambda found: found[0] if has_parts(found[0]) else "*" * len(found[0]), line)
    part_starts = [found.start() for found in _PART.finditer(line)]
    bracket = _OPEN_BRACKET.search(line)
    flow_from = bracket.start() if bracket else len(line)
    pieces: list[str] = []
    masked_to = 0
    for key in _KEY.finditer(line):
        if is_secret_key(key["quoted"] or key["plain"]):
            start = max(key.end(), masked_to)
            end = _end_of_value(line, key.end(), flow_from)
            has_part = bisect_left(part_starts, start) < bisect_left(part_starts, end - 1)
            if start < end and not has_part:
                pieces += (line[masked_to:start], _stars(line[start:end]))
                masked_to = end
    return "".join((*pieces, line[masked_to:]))


def mask_part(line: str, column: int, length: int) -> str:
    """Return a line with this many characters masked from a column on, counted from 1."""
    start, end = column - 1, column - 1 + length
    return line[:start] + _stars(line[start:end]) + line[end:]


def _stars(text: str) -> str:
    return re.sub(r"[^\s\"']", "*", text)


def _end_of_value(line: str, start: int, flow_from: int) -> int:
    opening = line[start : start + 1]
    if opening in ("|", ">"):
        return start
    if opening in ("'", '"'):
        close = line.find(opening, start + 1)
        return len(line) if close < 0 else close + 1
    if opening in ("[", "{", "&", "*") or start <= flow_from:
        return len(line)
    close_plain = _END_IN_FLOW.search(line, start)
    return close_plain.start() if close_plain else len(line)
