"""Kinds of values: durations, sizes, numbers and words; how each is written, and what it means."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scheduler.errors import nearest
from scheduler.instants import duration_ns
from scheduler.jobsfile.faults import Wrong, must, not_yet, wrong_type

DURATION = r"[0-9]+(\.[0-9]+)?(ms|s|m|h|d)"
SIZE = r"[0-9]+(B|KiB|MiB|GiB)"
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
NAME_HINT = "at most 64 letters, digits, dots, _ and -, a letter or a digit first"

_UNITS_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_SIZE = re.compile(r"([0-9]+)(B|KiB|MiB|GiB)")


@dataclass(frozen=True, slots=True)
class Kind:
    """
    A kind of value.

    Args:
        parse: From the value as written to what it means; raises Wrong.
        schema: The same as JSON Schema, for editors.
    """

    parse: Callable[[Any], Any]
    schema: Mapping[str, Any]


def size_bytes(value: Any) -> int | None:
    """Bytes of `64KiB`, `16MiB`, or of a number of bytes; None for anything else."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        return int(match[1]) * _UNITS_BYTES[match[2]] if match and len(value) < 30 else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def duration(lowest: str, highest: str, example: str) -> Kind:
    """A duration within bounds."""
    low, high = duration_ns(lowest) or 0, duration_ns(highest) or 0

    def parse(value: Any) -> int:
        found = duration_ns(value)
        if found is None or not low <= found <= high:
            raise must(f"be {lowest}–{highest}, e.g. {example}", hint="a number and ms, s, m, h or d; a number alone is seconds")
        return found

    return Kind(parse, {"anyOf": [{"type": "string", "pattern": f"^{DURATION}$", "examples": [example]}, {"type": "number"}]})


def size(highest: str, example: str) -> Kind:
    """A number of bytes up to a limit."""
    high = size_bytes(highest) or 0

    def parse(value: Any) -> int:
        found = size_bytes(value)
        if found is None or not 0 <= found <= high:
            raise must(f"be 0–{highest}, e.g. {example}", hint="a number and B, KiB, MiB or GiB; a number alone is bytes")
        return found

    return Kind(parse, {"anyOf": [{"type": "string", "pattern": f"^{SIZE}$", "examples": [example]}, {"type": "integer"}]})


def integer(lowest: int, highest: int) -> Kind:
    """A whole number within bounds."""

    def parse(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type("an integer", value, hint=f"write a number from {lowest} to {highest}")
        if not lowest <= value <= highest:
            raise must(f"be {lowest}–{highest}", hint=f"write a number from {lowest} to {highest}")
        return value

    return Kind(parse, {"type": "integer", "minimum": lowest, "maximum": highest})


def one_of(meanings: Mapping[str, Any], *, later: Sequence[str] = ()) -> Kind:
    """One of a few words; those that come later are known, and refused as such."""

    def parse(value: Any) -> Any:
        if isinstance(value, str) and value in meanings:
            return meanings[value]
        if value in later:
            raise not_yet(str(value), hint=f"write {' or '.join(meanings)}")
        near = nearest(value, meanings) if isinstance(value, str) else None
        raise must(f"be {' or '.join(meanings)}", hint=f"did you mean {near}?" if near else f"write {' or '.join(meanings)}")

    return Kind(parse, {"enum": list(meanings)})


def auto_or(kind: Kind) -> Kind:
    """`auto`, which stays that word, or a value of another kind."""

    def parse(value: Any) -> Any:
        try:
            return value if value == "auto" else kind.parse(value)
        except Wrong as wrong:
            raise Wrong(*(replace(fault, words=fault.words.replace("be ", "be auto or ", 1)) for fault in wrong.faults)) from None

    return Kind(parse, {"anyOf": [{"const": "auto"}, kind.schema]})


def text(pattern: str, wanted: str, *, hint: str) -> Kind:
    """A text of a certain shape."""
    shape = re.compile(pattern)

    def parse(value: Any) -> str:
        if not isinstance(value, str):
            raise wrong_type("a text", value, hint="put it in quotes")
        if not shape.fullmatch(value):
            raise must(wanted, hint=hint)
        return value

    return Kind(parse, {"type": "string", "pattern": f"^{pattern}$"})


def word() -> Kind:
    """A text, or a whole number or a boolean that stands for its text; a fraction has more than one."""

    def parse(value: Any) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int):
            return str(value)
        if isinstance(value, float):
            raise must("be a text", hint="put the number in quotes; it has more than one way to be written")
        raise wrong_type("a text", value, hint="write one value")

    return Kind(parse, {"type": ["string", "integer", "boolean"]})


def built_in_only(built_in: Any) -> Kind:
    """A key that is still to come: nothing, or the value that is built in."""

    hint = f"leave it out; {json.dumps(built_in)} is built in" if built_in is not None else "leave it out"

    def parse(value: Any) -> Any:
        if value in ({}, []) or _same(value, built_in):
            return value
        raise not_yet(hint=hint, on_key=True)

    return Kind(parse, {"enum": [built_in]} if built_in is not None else {"type": "null"})


def _same(value: Any, built_in: Any) -> bool:
    if isinstance(value, dict) and isinstance(built_in, dict):
        return all(key in built_in and _same(item, built_in[key]) for key, item in value.items())
    if type(value) is type(built_in) and value == built_in:
        return True
    return duration_ns(built_in) is not None and duration_ns(value) == duration_ns(built_in)
