"""
Merging: defaults, then the templates in order, then the job. Maps merge; lists and scalars replace; null
removes.

If keys exclude each other, as `cron` and `every` do, the later one replaces the earlier one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tminus.jobsfile.text.document import Document
from tminus.jobsfile.text.tree import Path


def _each_other(*names: str) -> dict[str, frozenset[str]]:
    return {name: frozenset(names) - {name} for name in names}


#: For each map of a job, the keys that a key replaces.
_REPLACED: Mapping[Path, Mapping[str, frozenset[str]]] = {
    ("schedule",): _each_other("cron", "every", "at", "manual"),
    ("http",): _each_other("json", "form", "body", "body_file"),
    ("flask",): {
        **_each_other("json", "form", "body"),
        "endpoint": frozenset({"url"}),
        "url": frozenset({"endpoint", "args"}),
    },
    ("call", "request"): _each_other("json", "form", "body"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """
    A map of a file that is merged into a job.

    Args:
        document: The file.
        base: The path of the map in the file.
        value: The map, short forms written out.
        name: For people: `defaults`, `template crm`; empty for the job itself.
    """

    document: Document
    base: Path
    value: Mapping[str, Any]
    name: str = ""

    def has(self, path: Path) -> bool:
        """Return whether there is a value at a path."""
        here: Any = self.value
        for step in path:
            if isinstance(here, list):
                if step not in range(len(here)):
                    return False
                here = here[int(step)]
            elif isinstance(here, Mapping) and step in here:
                here = here[step]
            elif step != 0:  # item 0 of a list of one in its short form is the value itself
                return False
        return True


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return a map merged with the one above it, such as the defaults with a template. The result shares the
    parts that are only in one of them. A null that removes nothing stays.
    """
    for path, replaced_by in _REPLACED.items():
        below = _without_replaced(below, above, path, replaced_by)
    return _merge_all(below, above)


def _without_replaced(
    below: Mapping[str, Any], above: Mapping[str, Any], path: Path, replaced_by: Mapping[str, frozenset[str]]
) -> Mapping[str, Any]:
    """Return a map without what keys of the map above it replace, in the maps at this path."""
    if path:
        key = str(path[0])
        lower, upper = below.get(key), above.get(key)
        if not (isinstance(lower, dict) and isinstance(upper, dict)):
            return below
        return {**below, key: _without_replaced(lower, upper, path[1:], replaced_by)}
    dropped = [others for name, others in replaced_by.items() if above.get(name) is not None]
    replaced = frozenset().union(*dropped) - above.keys()
    return {name: item for name, item in below.items() if name not in replaced} if replaced else below


def _merge_all(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        lower = result.get(key)
        if value is None and key in result:
            del result[key]
        elif isinstance(value, dict) and isinstance(lower, dict):
            result[key] = _merge_all(lower, value)
        else:
            result[key] = value
    return result


def find_origin(layers: Sequence[Layer], path: Path) -> Layer | None:
    """
    Return the layer from which a value of the merged job comes.

    Args:
        layers: The layers, nearest first.
        path: The path of the value.
    """
    return next((layer for layer in layers if layer.has(path)), None)
