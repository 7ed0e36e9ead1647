"""Masking: which keys have secrets, and how their values are shown."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
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
#: A quoted text; if it is not closed, all that follows.
_QUOTED = re.compile(r""""[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|'[^']*+(?:''[^']*+)*+(?:'|\Z)""", re.DOTALL)
_BRACKET_OR_QUOTED = re.compile(
    rf"[\[\]{{}}]|(?<![^\s,:\[{{])(?:{_QUOTED.pattern})|(?<!\S)#[^\n]*", re.DOTALL
)
_BLOCK_HEADER = re.compile(r"[|>][-+0-9]*\s*(?:#.*)?")
#: Between a key and its value, which may begin on a later line: comments, anchors and tags.
_BEFORE_VALUE = re.compile(r"(?:\s|#[^\n]*|[&!]\S*)*+")
#: The beginning of an item, of a document, or of a key.
_STRUCTURE = re.compile(r"\s*(?:(?:-|---|\.\.\.)(?:\s|$)|[^\s,\[\]{}#][^,\[\]{}]*?:(?:\s|$))")
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
    flow_from = _flow_from(line)
    pieces: list[str] = []
    masked_to = 0
    for key in _secret_keys(line):
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


def _secret_keys(line: str) -> Iterator[re.Match[str]]:
    return (key for key in _KEY.finditer(line) if is_secret_key(key["quoted"] or key["plain"]))


def _flow_from(line: str) -> int:
    """Return the place of the first opening bracket, or the end of the line if there is none."""
    bracket = _OPEN_BRACKET.search(line)
    return bracket.start() if bracket else len(line)


def _end_of_value(line: str, start: int, flow_from: int) -> int:
    opening = line[start : start + 1]
    if _BLOCK_HEADER.fullmatch(line, start):
        return start
    if quoted := _QUOTED.match(line, start):
        return quoted.end()
    if opening in ("[", "{", "&", "*", "!") or start <= flow_from:
        return len(line)
    close_plain = _END_IN_FLOW.search(line, start)
    return close_plain.start() if close_plain else len(line)


def find_continued(lines: Sequence[str]) -> set[int]:
    """
    Return the indexes of the lines with a further part of a secret that begins on an earlier line.

    The lines need not be YAML. If it is not clear where a secret ends, this returns too many lines rather
    than too few.
    """
    return _ContinuedSecrets(lines).find()


class _ContinuedSecrets:
    """The search for these lines. It passes over what is known to be secret, so its time is linear."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._text = "\n".join(lines)
        #: The places of the lines in the text.
        self._starts = list(accumulate((len(line) + 1 for line in lines), initial=0))
        #: The keys of the first level below a section are names, such as those of jobs.
        self._names_indent = min(filter(None, map(_indent, lines)), default=0)

    def find(self) -> set[int]:
        found: set[int] = set()
        end = 0
        for index, line in enumerate(self._lines[:-1]):
            if line.lstrip().startswith("#"):
                continue
            flow_from = _flow_from(line)
            for key in _secret_keys(line):
                if self._starts[index] + key.start() >= end:
                    end = self._end_of_value(index, key, is_in_flow=flow_from < key.start())
                    found.update(range(index + 1, self._line_at(end - 1) + 1))
        return found

    def _end_of_value(self, index: int, key: re.Match[str], *, is_in_flow: bool) -> int:
        """Return the place behind the value of a key, or behind the key if its value is no secret."""
        line, text, key_end = self._lines[index], self._text, self._starts[index] + key.end()
        before = _BEFORE_VALUE.match(text, key_end)
        start = before.end() if before else key_end
        is_name, is_below = key.start() <= self._names_indent, start > self._starts[index] + len(line)
        if quoted := _QUOTED.match(text, start):
            return quoted.end()
        if text.startswith(("[", "{"), start):
            return key_end if is_name else self._end_of_brackets(start)
        if is_in_flow:
            close = _END_IN_FLOW.search(text, start)
            return close.start() if close else len(text)
        if is_below and is_name and _STRUCTURE.match(self._lines[self._line_at(start)]):
            return key_end
        if not is_below and has_parts(line[key.end() :]):
            return self._starts[index] + len(line)
        return self._end_of_block(index, key.start())

    def _end_of_brackets(self, start: int) -> int:
        depth = 0
        for found in _BRACKET_OR_QUOTED.finditer(self._text, start):
            depth += (found[0] in "[{") - (found[0] in "]}")
            if depth == 0:
                return found.end()
        return len(self._text)

    def _end_of_block(self, index: int, indent: int) -> int:
        for below in range(index + 1, len(self._lines)):
            if not _may_continue(self._lines[below], indent):
                return self._starts[below]
        return len(self._text)

    def _line_at(self, place: int) -> int:
        return bisect_right(self._starts, place, hi=len(self._lines)) - 1


def _may_continue(line: str, indent: int) -> bool:
    """Return whether a line may belong to the value of a key with this indent, even if it is not indented."""
    content = line.lstrip()
    space = line[: len(line) - len(content)]
    is_item = len(space) == indent and content[:2] in ("-", "- ")
    return len(space) > indent or "\t" in space or is_item or not _STRUCTURE.match(line)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
