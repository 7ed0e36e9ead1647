"""Types of values: durations, sizes, numbers and texts; how each is written, and what it means."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from tminus.instants import duration_ns
from tminus.jobsfile.text.faults import InvalidValue, invalid_value, wrong_type
from tminus.suggestions import suggest

Found = TypeVar("Found")
Word = TypeVar("Word", bound=StrEnum)

DURATION = r"[0-9]+(\.[0-9]+)?(ms|s|m|h|d)"
SIZE = r"[0-9]+(B|KiB|MiB|GiB)"
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
NAME_HINT = "at most 64 letters, digits, dots, _ and -, a letter or a digit first"

_UNITS_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_SIZE = re.compile(r"([0-9]+)(B|KiB|MiB|GiB)")


@dataclass(frozen=True, slots=True)
class ValueType(Generic[Found]):
    """
    A type of value.

    Args:
        parse: Returns what a value means. Raises InvalidValue if it is not of this type.
        schema: The type as JSON Schema, for editors.
        maps: The classes of the maps in it.
    """

    parse: Callable[[Any], Found]
    schema: Mapping[str, Any]
    maps: tuple[Any, ...] = ()


def size_bytes(value: Any) -> int | None:
    """Return the bytes of `64KiB`, `16MiB`, or of a number of bytes; None for anything else."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        return int(match[1]) * _UNITS_BYTES[match[2]] if match and len(value) < 30 else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def duration(lowest: str, highest: str, *, example: str) -> ValueType[int]:
    """Return the type of a duration within bounds, in nanoseconds."""
    hint = "a number and ms, s, m, h or d; a number alone is seconds"
    written = {"type": "string", "pattern": f"^{DURATION}$", "examples": [example]}
    parse = _within(duration_ns, lowest, highest, example, hint=hint)
    return ValueType(parse, {"anyOf": [written, {"type": "number"}]})


def size(highest: str, *, example: str) -> ValueType[int]:
    """Return the type of a number of bytes up to a limit."""
    hint = "a number and B, KiB, MiB or GiB; a number alone is bytes"
    written = {"type": "string", "pattern": f"^{SIZE}$", "examples": [example]}
    parse = _within(size_bytes, "0", highest, example, hint=hint)
    return ValueType(parse, {"anyOf": [written, {"type": "integer"}]})


def _within(
    measure: Callable[[Any], int | None], lowest: str, highest: str, example: str, *, hint: str
) -> Callable[[Any], int]:
    low, high = measure(lowest) or 0, measure(highest) or 0

    def parse(value: Any) -> int:
        found = measure(value)
        if found is None or not low <= found <= high:
            raise invalid_value(f"be {lowest}–{highest}, e.g. {example}", hint=hint)
        return found

    return parse


def integer(lowest: int, highest: int) -> ValueType[int]:
    """Return the type of a whole number within bounds."""
    hint = f"write a number from {lowest} to {highest}"

    def parse(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type("an integer", value, hint=hint)
        if not lowest <= value <= highest:
            raise invalid_value(f"be {lowest}–{highest}", hint=hint)
        return value

    return ValueType(parse, {"type": "integer", "minimum": lowest, "maximum": highest})


def number(lowest: int, highest: int) -> ValueType[float]:
    """Return the type of numbers within bounds, whole or not."""
    hint = f"write a number from {lowest} to {highest}"

    def parse(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong_type("a number", value, hint=hint)
        if not lowest <= value <= highest:
            raise invalid_value(f"be {lowest}–{highest}", hint=hint)
        return float(value)

    return ValueType(parse, {"type": "number", "minimum": lowest, "maximum": highest})


def one_of(words: type[Word]) -> ValueType[Word]:
    """Return the type of the words of an enumeration."""
    meanings = {word.value: word for word in words}
    wanted = " or ".join(meanings)

    def parse(value: Any) -> Word:
        if isinstance(value, str) and value in meanings:
            return meanings[value]
        raise invalid_value(f"be {wanted}", hint=suggest(str(value), meanings, otherwise=f"write {wanted}"))

    return ValueType(parse, {"enum": list(meanings)})


def or_auto(value_type: ValueType[Found], wanted: str) -> ValueType[Found | None]:
    """
    Return the type of `auto`, which is None, or of a value of another type.

    Args:
        value_type: The other type.
        wanted: The values of that type, in the words of an error.
    """

    def parse(value: Any) -> Found | None:
        try:
            return None if value == "auto" else value_type.parse(value)
        except InvalidValue as error:
            raise invalid_value(f"be auto or {wanted}", hint=error.faults[0].hint) from None

    return ValueType(parse, {"anyOf": [{"const": "auto"}, value_type.schema]})


def text(pattern: str, wanted: str, *, hint: str) -> ValueType[str]:
    """Return the type of a text that matches a pattern."""
    shape = re.compile(pattern)

    def parse(value: Any) -> str:
        if not shape.fullmatch(TEXT.parse(value)):
            raise invalid_value(wanted, hint=hint)
        return str(value)

    return ValueType(parse, {"type": "string", "pattern": f"^{pattern}$"})


def _anything(value: Any) -> Any:
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type("a text", value, hint="put it in quotes")
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise wrong_type("true or false", value, hint="write true or false, without quotes")
    return value


def _word(value: Any) -> str:
    """Return a text, a whole number or a boolean as text. Other numbers can be written in several ways."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        hint = "put the number in quotes; it has more than one way to be written"
        raise invalid_value("be a text", hint=hint)
    raise wrong_type("a text", value, hint="write one value")


ANYTHING = ValueType(_anything, {})
TEXT = ValueType(_text, {"type": "string"})
ID = text(NAME, f"match {NAME}", hint=NAME_HINT)
BOOLEAN = ValueType(_boolean, {"type": "boolean"})
WORD = ValueType(_word, {"type": ["string", "integer", "boolean"]})
