"""
Maps and lists of the jobs file.

A map is a dataclass. Each of its fields is made by `key`, with a value type and a description for editors.
From these fields, `validate_map` checks a value and `json_schema` makes the JSON Schema. A check reports
every fault of a value at once. It also returns the part of the value that is right, so that other checks can
go on.
"""

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from functools import cache
from keyword import iskeyword
from typing import Any, Generic, TypeVar

from tminus.jobsfile.text.faults import Fault, InvalidValue, unknown_key, wrong_type
from tminus.jobsfile.types.values import ValueType

Found = TypeVar("Found")


def key(value_type: ValueType[Found], description: str) -> Found | None:
    """
    Return a field of a map. Its value is None if the file does not have the key, or if the key is null. A key
    that is a word of Python, such as `from`, is the field `from_`.

    Args:
        value_type: The type of the key's value.
        description: The text that editors show.
    """
    declared: Any = field(default=None, metadata={"type": value_type, "description": description})
    return declared  # type: ignore[no-any-return]  # to a type checker, the field is its value


@dataclass(frozen=True, slots=True)
class Validated(Generic[Found]):
    """
    A value that was checked.

    Args:
        model: The value without what is wrong in it.
        faults: Everything that is wrong.
    """

    model: Found
    faults: tuple[Fault, ...] = ()

    def is_faulty(self, *path: str | int) -> bool:
        """Return whether there is a fault at, above or below a path. The model then lacks something there."""
        return any(
            fault.path[: len(path)] == path[: len(fault.path)] or (*fault.path[:-1], fault.meant) == path
            for fault in self.faults
        )


def validate_map(of: Callable[[], Found], value: Any) -> Validated[Found]:
    """
    Check a map.

    Args:
        of: The class of the map.
        value: The map as written.
    """
    try:
        return Validated(map_of(of).parse(value))
    except InvalidValue as error:
        return Validated(of() if error.rest is None else error.rest, error.faults)


def map_of(of: Callable[..., Found]) -> ValueType[Found]:
    """Return the type of a map whose keys are the fields of a class. A null counts as a missing key."""

    def parse(value: Any) -> Found:
        faults: list[Fault] = []
        found: dict[str, Any] = {}
        for name, item in _as_map(value).items():
            if name not in types:
                faults.append(unknown_key((name,), types))
            elif item is not None:
                found[f"{name}_" if iskeyword(name) else name] = _part(types[name], item, name, faults)
        if faults:
            raise InvalidValue(*faults, rest=of(**found))
        return of(**found)

    types = _types(of)
    return ValueType(parse, {"$ref": f"#/$defs/{of.__name__}"}, (of,))


def table_of(
    values: ValueType[Found], names: ValueType[str] | None = None, *, null: bool = True
) -> ValueType[dict[str, Found]]:
    """
    Return the type of a map with any keys.

    Args:
        values: The type of its values.
        names: The type of its keys, if not every text is one.
        null: Whether a value may be null.
    """

    def parse(value: Any) -> dict[str, Found]:
        faults: list[Fault] = []
        found: dict[str, Any] = {}
        for name, item in _as_map(value).items():
            before = len(faults)
            if names is None or _part(names, name, name, faults) is not None:
                valid = None if null and item is None else _part(values, item, name, faults)
                if valid is not None or len(faults) == before:
                    found[name] = valid
        if faults:
            raise InvalidValue(*faults, rest=found)
        return found

    return ValueType(parse, {"type": "object", "additionalProperties": _or_null(values)}, values.maps)


def list_of(items: ValueType[Found]) -> ValueType[list[Found]]:
    """Return the type of a list. If an item has no valid part, neither has the list."""

    def parse(value: Any) -> list[Found]:
        if not isinstance(value, list):
            raise wrong_type("a list", value, hint="write [a, b]")
        faults: list[Fault] = []
        found = [_part(items, item, index, faults) for index, item in enumerate(value)]
        if faults:
            raise InvalidValue(*faults, rest=None if any(item is None for item in found) else found)
        return found

    return ValueType(parse, {"type": "array", "items": items.schema}, items.maps)


def short(
    value_type: ValueType[Found], write_out: Callable[[Any], Any], *shorter: ValueType[Any]
) -> ValueType[Found]:
    """
    Return the same type, with a short form.

    Args:
        value_type: The type.
        write_out: Returns the long form of a value that is short; any other value as it is.
        shorter: What may be written instead.
    """
    schemas = [dict(form.schema) for form in (*shorter, value_type)]
    return ValueType(lambda value: value_type.parse(write_out(value)), {"anyOf": schemas}, value_type.maps)


def unchecked(value_type: ValueType[Any]) -> ValueType[None]:
    """Return the same type for editors only: its value is checked elsewhere."""
    return ValueType(lambda value: None, value_type.schema, value_type.maps)


def map_keys(of: Any) -> list[str]:
    """Return the keys of a map, in the order of the schema."""
    return list(_types(of))


def json_schema(of: Any) -> dict[str, Any]:
    """Return a map, with all maps in it, as JSON Schema (draft 2020-12)."""
    schemas: dict[str, Any] = {}
    left = [of]
    while left:
        one = left.pop()
        if one.__name__ not in schemas:
            schemas[one.__name__] = {
                "type": "object",
                "description": one.__doc__,
                "additionalProperties": False,
                "properties": {
                    _key_of(part): _or_null(part.metadata["type"])
                    | {"description": part.metadata["description"]}
                    for part in fields(one)
                },
            }
            left += (inner for value_type in _types(one).values() for inner in value_type.maps)
    top = schemas.pop(of.__name__)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **top, "$defs": schemas}


def _as_map(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise wrong_type("a map", value, hint="write key: value")
    return value


def _part(value_type: ValueType[Any], value: Any, step: str | int, faults: list[Fault]) -> Any:
    """Return the valid part of a value, or None; add its faults to the others."""
    try:
        return value_type.parse(value)
    except InvalidValue as error:
        faults += (fault.under(step) for fault in error.faults)
        return error.rest


@cache
def _types(of: Any) -> Mapping[str, ValueType[Any]]:
    return {_key_of(part): part.metadata["type"] for part in fields(of)}


def _key_of(part: Field[Any]) -> str:
    return part.name.removesuffix("_")


def _or_null(value_type: ValueType[Any]) -> dict[str, Any]:
    return {"anyOf": [dict(value_type.schema), {"type": "null"}]}
