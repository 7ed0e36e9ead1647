"""URLs in the jobs file, with templates and references whose values are not known yet."""

from functools import lru_cache
from typing import Any

from tminus.http_rules.syntax import InvalidSyntax
from tminus.http_rules.urls import BLANK, HINT, check_url
from tminus.jobsfile.text.faults import Fault, InvalidValue, text_fault, wrong_type
from tminus.jobsfile.types.values import ValueType
from tminus.templates import blanked


def _parse(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type("a URL", value, hint=HINT)
    if fault := _fault(value):
        raise InvalidValue(fault)
    return value


@lru_cache(maxsize=16384)
def _fault(url: str) -> Fault | None:
    try:
        check_url(url, blanked(url, BLANK))
    except InvalidSyntax as error:
        return text_fault(error, of_owner=True)
    return None


URL = ValueType(_parse, {"type": "string", "examples": ["https://shop.example.com/sync"]})
