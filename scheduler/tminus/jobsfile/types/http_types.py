"""The parts of a request in the jobs file: methods, versions, headers, paths, status codes and classes."""

import re
from typing import Any

from tminus.http_rules.syntax import METHODS, InvalidSyntax, check_header_name, check_header_value, check_path
from tminus.jobsfile.text.faults import InvalidValue, invalid_value, text_fault, wrong_type
from tminus.jobsfile.types.values import WORD, ValueType
from tminus.model.job import StatusRange
from tminus.suggestions import nearest

_CLASS = re.compile(r"([1-5])xx")


def _method(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type("a method", value, hint=f"one of {', '.join(METHODS)}")
    if value in METHODS:
        return value
    raise invalid_value(
        f"be one of {', '.join(METHODS)}", hint=f"write {nearest(value.upper(), METHODS) or 'GET'}"
    )


def _header_name(value: Any) -> str:
    name = str(value)
    try:
        check_header_name(name)
    except InvalidSyntax as error:
        raise InvalidValue(text_fault(error, on_key=True, of_owner=True)) from None
    return name


def _header_value(value: Any) -> str:
    text = WORD.parse(value)
    try:
        check_header_value(text)
    except InvalidSyntax as error:
        raise InvalidValue(text_fault(error)) from None
    return text


def _version(value: Any) -> str:
    if value in ("1.1", "2", 1.1, 2):
        return f"{value:g}" if isinstance(value, float) else str(value)  # 2.0 is 2
    raise invalid_value('be "1.1" or "2"', hint='write "1.1" or "2"')


def _path(value: Any) -> str:
    hint = "write a path such as /reports/daily?kind=short"
    if not isinstance(value, str):
        raise wrong_type("a path", value, hint=hint)
    if not value.startswith("/") or value.startswith("//"):
        raise invalid_value("be a path that begins with one /", hint=hint)
    try:
        check_path(value)
    except InvalidSyntax as error:
        raise InvalidValue(text_fault(error)) from None
    return value


def _status(value: Any) -> StatusRange:
    if isinstance(value, str) and (match := _CLASS.fullmatch(value)):
        first = int(match[1]) * 100
        return StatusRange(first, first + 99)
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
        return StatusRange(value, value)
    raise invalid_value(
        "be a status such as 200, or a class such as 2xx", hint="100–599 without quotes, or 1xx–5xx"
    )


METHOD = ValueType(_method, {"enum": list(METHODS)})
VERSION = ValueType(_version, {"enum": ["1.1", "2", 1.1, 2]})
STATUS = ValueType(
    _status,
    {
        "anyOf": [
            {"type": "integer", "minimum": 100, "maximum": 599},
            {"type": "string", "pattern": "^[1-5]xx$"},
        ]
    },
)
PATH = ValueType(_path, {"type": "string", "pattern": "^/"})
HEADER_NAME = ValueType(_header_name, {"type": "string"})
HEADER_VALUE = ValueType(_header_value, WORD.schema)
