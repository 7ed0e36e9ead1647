"""From the bytes of a file to its text: UTF-8, nothing that a terminal would obey."""

import re
from dataclasses import dataclass

LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # as libyaml counts lines
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # YAML 1.2.2, section 5.1


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a text; both count from 0, as libyaml does."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a text as such, and where."""

    at: Mark
    message: str
    hint: str
    length: int = 1


class Unreadable(Exception):
    """Nothing can be made of a text; the complaint that ends it comes last."""

    def __init__(self, *complaints: Complaint) -> None:
        super().__init__(complaints[-1].message)
        self.complaints = complaints


def decoded(data: bytes) -> str:
    """
    Raises:
        Unreadable: not UTF-8, or control characters in it.
    """
    bad = [position for position in (_not_utf8(data), data.find(b"\0")) if position >= 0]
    if bad:
        looks_like_utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:2]
        hint = "it looks like UTF-16; save the file as UTF-8" if looks_like_utf16 else "save the file as UTF-8"
        raise Unreadable(Complaint(_end_of(lossy(data[: min(bad)])), f"not UTF-8 at byte {min(bad)}", hint))
    text = data.decode().removeprefix("\ufeff")
    if found := _NOT_TEXT.search(text):
        message = f"control character U+{ord(found[0]):04X} is not allowed"
        raise Unreadable(Complaint(_end_of(text[: found.start()]), message, "write it as an escape in double quotes"))
    return text


def lossy(data: bytes) -> str:
    """What can be shown of bytes that are no text."""
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
