"""What the models say about a value, as faults; and a model of all that is right, so that the rest is still looked at."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    value = _without(value, [fault.path for fault in faults])
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


def _without(value: Any, paths: Iterable[Path]) -> Any:
    """The value without what stands at these paths, in one pass; without a whole list if an item of it is meant."""
    if not isinstance(value, Mapping):
        return {}
    below: dict[str | int, list[Path]] = {}
    for path in paths:
        if not path:
            return {}
        below.setdefault(path[0], []).append(path[1:])
    kept = {}
    for key, item in value.items():
        rests = below.get(key)
        if rests is None:
            kept[key] = item
        elif isinstance(item, Mapping) and all(rests := [_short_form(rest) for rest in rests]):
            kept[key] = _without(item, rests)
        elif isinstance(item, list) and all(len(rest) > 1 for rest in rests):
            kept[key] = _without_in(item, rests)
    return kept


def _short_form(path: Path) -> Path:
    """The path in a list of one that is written without its brackets."""
    while path and isinstance(path[0], int):
        path = path[1:]
    return path


def _without_in(items: Sequence[Any], paths: Iterable[Path]) -> list[Any] | None:
    below: dict[int, list[Path]] = {}
    for path in paths:
        below.setdefault(int(path[0]), []).append(path[1:])
    if not all(isinstance(items[index], Mapping) for index in below):
        return None
    return [_without(item, below[index]) if index in below else item for index, item in enumerate(items)]
