"""From the bytes of a file to its text: UTF-8, without control characters that could command a terminal."""

import re
from dataclasses import dataclass
from typing import Any

#: The line breaks that libyaml counts.
LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
#: Characters that YAML forbids (YAML 1.2.2, section 5.1).
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a text. Line and column count from 0, as in libyaml."""

    line: int
    column: int


def to_mark(mark: Any) -> Mark:
    """Convert a mark of PyYAML."""
    return Mark(mark.line, mark.column)


@dataclass(frozen=True, slots=True)
class TextProblem:
    """An error of the text itself, and its place."""

    at: Mark
    message: str
    hint: str
    length: int = 1


class UnreadableText(Exception):
    """A text that cannot be read at all. Its last problem is the one that ended the reading."""

    def __init__(self, *problems: TextProblem) -> None:
        super().__init__(problems[-1].message)
        self.problems = problems


def decode(data: bytes) -> str:
    """
    Return the text of a file.

    Raises:
        UnreadableText: the bytes are not UTF-8, or contain control characters.
    """
    bad = [position for position in (_not_utf8(data), data.find(b"\0")) if position >= 0]
    if bad:
        looks_like_utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:2]
        hint = (
            "it looks like UTF-16; save the file as UTF-8" if looks_like_utf16 else "save the file as UTF-8"
        )
        raise UnreadableText(
            TextProblem(_end_of(decode_lossy(data[: min(bad)])), f"not UTF-8 at byte {min(bad)}", hint)
        )
    text = data.decode().removeprefix("\ufeff")
    if found := _NOT_TEXT.search(text):
        message = f"control character U+{ord(found[0]):04X} is not allowed"
        raise UnreadableText(
            TextProblem(_end_of(text[: found.start()]), message, "write it as an escape in double quotes")
        )
    return text


def decode_lossy(data: bytes) -> str:
    """Return bytes that are not UTF-8 as a text that can be shown: invalid bytes are replaced."""
    return data.decode("utf-8", "replace").removeprefix("\ufeff")


def _not_utf8(data: bytes) -> int:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return -1


def _end_of(text: str) -> Mark:
    lines = LINE_BREAK.split(text)
    return Mark(len(lines) - 1, len(lines[-1]))
