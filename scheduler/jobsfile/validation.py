"""What the models say about a value, as faults; and a model of all that is right, so that the rest is still looked at."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic

from scheduler.jobsfile import language
from scheduler.jobsfile.faults import Fault, Wrong, type_name, unknown_key
from scheduler.jobsfile.language import AnyMap, File, Map, Settings
from scheduler.jobsfile.reader import Path

_WANTED = {
    "string_type": ("a text", "put it in quotes"),
    "bool_type": ("true or false", "write true or false, without quotes"),
    "list_type": ("a list", "write [a, b]"),
    "dict_type": ("a map", "write key: value"),
    "model_type": ("a map", "write key: value"),
}


@dataclass(frozen=True, slots=True)
class Validated(Generic[AnyMap]):
    """
    A value that was looked at.

    Args:
        model: Of the value, without what is wrong in it.
        faults: All that is wrong.
    """

    model: AnyMap
    faults: tuple[Fault, ...] = ()

    def is_faulty(self, *path: str | int) -> bool:
        """Whether something at, above or below a path was wrong, so that the model knows less than the file says."""
        return any(
            fault.path[: len(path)] == path[: len(fault.path)] or (*fault.path[:-1], fault.meant) == path for fault in self.faults
        )


def validated(model: type[AnyMap], value: Any) -> Validated[AnyMap]:
    """Look at a value, once without finding fault in what is right."""
    found, errors = language.check(model, value)
    if found is not None:
        return Validated(found)
    faults = tuple(fault for error in errors for fault in _faults(model, error))
    for fault in faults:
        value = _without(value, fault.path)
    found, _ = language.check(model, value)
    return Validated(found if found is not None else model(), faults)


def _faults(model: type[Map], error: Mapping[str, Any]) -> Iterator[Fault]:
    path: Path = tuple(step for step in error["loc"] if step != "[key]")
    wrong = error.get("ctx", {}).get("error")
    if isinstance(wrong, Wrong):
        yield from (fault.under(*path) for fault in wrong.faults)
    elif error["type"] == "extra_forbidden":
        yield unknown_key(path, language.keys_of(File if model is Settings else model, path[:-1]))
    elif error["type"] in _WANTED:
        wanted, hint = _WANTED[error["type"]]
        yield Fault(words=f"must be {wanted}, got {type_name(error['input'])}", joint=" ", path=path, hint=hint)
    else:
        yield Fault(words=str(error["msg"]).lower(), path=path, hint="`tminus schema` prints what is allowed")


def _without(value: Any, path: Path) -> Any:
    """The value without what stands at a path; without the whole list where that is an item of one."""
    if not path or not isinstance(value, Mapping):
        return {}
    first, *rest = path
    inner = value.get(str(first))
    while rest and isinstance(rest[0], int) and isinstance(inner, Mapping):
        rest = rest[1:]  # a list of one in its short form
    kept = {key: item for key, item in value.items() if key != first}
    if rest and isinstance(inner, Mapping):
        kept[str(first)] = _without(inner, tuple(rest))
    elif len(rest) > 1 and isinstance(inner, list) and isinstance(item := inner[at := int(rest[0])], Mapping):
        kept[str(first)] = [*inner[:at], _without(item, tuple(rest[1:])), *inner[at + 1 :]]
    return kept
