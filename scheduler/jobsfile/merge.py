"""
Merging: defaults, then the templates in order, then the job. Maps merge; lists and scalars replace; null removes.

Where keys exclude each other, as `cron` and `every` do, what comes later takes the place of what came before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scheduler.jobsfile.document import Document
from scheduler.jobsfile.reader import Path

_EXCLUSIVE: Mapping[str, frozenset[str]] = {
    "schedule": frozenset({"cron", "every", "at", "manual"}),
    "http": frozenset({"json", "form", "body", "body_file"}),
}


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """
    A map of a file that goes into a job.

    Args:
        document: The file.
        base: Where in it the map stands.
        value: The map, short forms written out.
        name: For people: `defaults`, `template crm`; empty for the job itself.
    """

    document: Document
    base: Path
    value: Mapping[str, Any]
    name: str = ""

    def has(self, path: Path) -> bool:
        """Whether something stands at a path."""
        here: Any = self.value
        for step in path:
            if isinstance(here, list):
                if step not in range(len(here)):
                    return False
                here = here[int(step)]
            elif isinstance(here, Mapping) and step in here:
                here = here[step]
            elif step != 0:  # a list of one in its short form
                return False
        return True


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay a job, or a template, over what it starts from. Shares what neither changes; a null that removes nothing stays."""
    for key, names in _EXCLUSIVE.items():
        inner, outer = below.get(key), above.get(key)
        if isinstance(inner, dict) and isinstance(outer, dict) and any(outer.get(name) is not None for name in names):
            below = {**below, key: {name: item for name, item in inner.items() if name not in names or name in outer}}
    return _laid_over(below, above)


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        inner = result.get(key)
        if value is None and key in result:
            del result[key]
        elif isinstance(value, dict) and isinstance(inner, dict):
            result[key] = _laid_over(inner, value)
        else:
            result[key] = value
    return result


def origin(layers: Sequence[Layer], path: Path) -> Layer | None:
    """The layer that a value of the merged job comes from; the layers nearest first."""
    return next((layer for layer in layers if layer.has(path)), None)
