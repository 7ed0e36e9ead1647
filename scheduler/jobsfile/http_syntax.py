"""HTTP's own words: methods, versions, header names and values, status codes and classes (RFC 9110)."""

import re
from typing import Any

from scheduler.errors import nearest, quoted
from scheduler.jobsfile.faults import Fault, Wrong, must, wrong_type
from scheduler.jobsfile.values import Kind, word
from scheduler.model.job import StatusRange

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
WITHOUT_BODY = frozenset({"GET", "HEAD", "TRACE"})

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_BREAKS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")
_OURS = frozenset({"host", "content-length", "transfer-encoding"})
_CLASS = re.compile(r"([1-5])xx")
_WORD = word()


def _method(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type("a method", value, hint=f"one of {', '.join(METHODS)}")
    if value in METHODS:
        return value
    raise must(f"be one of {', '.join(METHODS)}", hint=f"write {nearest(value.upper(), METHODS) or 'GET'}")


def _header_name(value: Any) -> str:
    name = str(value)
    if name.lower() in _OURS:
        words = f"{name} cannot be given; it follows from the URL and the body"
        raise Wrong(Fault(words=words, hint="leave it out", on_key=True, of_owner=True))
    if not _TOKEN.fullmatch(name):
        words = f"{quoted(name)} is not a header name"
        raise Wrong(Fault(words=words, hint="letters, digits and -", on_key=True, of_owner=True))
    return name


def _header_value(value: Any) -> str:
    found = _WORD.parse(value)
    if match := _BREAKS.search(found):
        raise Wrong(Fault(words=f"control character U+{ord(match[0]):04X} in a header", hint="a header is one line"))
    return str(found)


def _version(value: Any) -> str:
    if value in ("1.1", "2", 1.1, 2) and not isinstance(value, bool):
        return str(value)
    raise must('be "1.1" or "2"', hint='write "1.1" or "2"')


def _path(value: Any) -> str:
    hint = "write a path such as /reports/daily?kind=short"
    if not isinstance(value, str):
        raise wrong_type("a path", value, hint=hint)
    if not value.startswith("/") or value.startswith("//"):
        raise must("be a path that begins with one /", hint=hint)
    if match := _UNPRINTABLE.search(value):
        raise Wrong(Fault(words=f"character U+{ord(match[0]):04X} in a path", hint="write it as %XX"))
    return value


def _status(value: Any) -> StatusRange:
    if isinstance(value, str) and (match := _CLASS.fullmatch(value)):
        first = int(match[1]) * 100
        return StatusRange(first, first + 99)
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
        return StatusRange(value, value)
    raise must("be a status such as 200, or a class such as 2xx", hint="100–599 without quotes, or 1xx–5xx")


METHOD = Kind(_method, {"enum": list(METHODS)})
VERSION = Kind(_version, {"enum": ["1.1", "2", 1.1, 2]})
STATUS = Kind(
    _status, {"anyOf": [{"type": "integer", "minimum": 100, "maximum": 599}, {"type": "string", "pattern": "^[1-5]xx$"}]}
)
PATH = Kind(_path, {"type": "string", "pattern": "^/"})
HEADER_NAME = Kind(_header_name, {"type": "string"})
HEADER_VALUE = Kind(_header_value, _WORD.schema)
