"""One merged job, value by value, with the origin of each."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tminus.jobsfile.jobs import schema
from tminus.jobsfile.jobs.build import Builder
from tminus.jobsfile.jobs.sections import Sections
from tminus.jobsfile.text.faults import to_dotted
from tminus.jobsfile.text.masking import is_secret_key, mask_url, mask_value
from tminus.jobsfile.text.merge import find_origin
from tminus.jobsfile.text.tree import Node, Path
from tminus.jobsfile.types.maps import map_keys


@dataclass(frozen=True, slots=True)
class ValueOrigin:
    """
    A value of a job.

    Args:
        key: The dotted path of its key.
        value: A scalar as written, otherwise JSON; secrets masked.
        where: `jobs.yaml:61`, `template crm, jobs.yaml:44`, `defaults, jobs.yaml:32`, `built in`, or in code
            `shop.py:12 (app shop)`.
    """

    key: str
    value: str
    where: str


def value_origins(name: str, builder: Builder, sections: Sections) -> list[ValueOrigin]:
    """Return the values of a job, and the time zone of the file, in the order of the schema."""
    layers, merged = builder.layers(name), builder.merged[name]
    found: dict[Path, ValueOrigin] = {}
    for path, value in _leaves((), merged):
        if layer := find_origin(layers, path):
            spot = layer.document.spot((*layer.base, *path))
            place = str(layer.document.place(spot))
            where = f"{layer.name}, {place}" if layer.name else place
            found[path] = ValueOrigin(to_dotted(path), _shown(path, value, spot.node), where)
    for path, value in _leaves((), schema.BUILT_IN):
        if (path[0] == "http" and "http" not in merged) or (
            path[-1] == "kill_after" and "call" not in merged
        ):
            continue
        found.setdefault(path, ValueOrigin(to_dotted(path), _shown(path, value, None), "built in"))
    where = "built in"
    if layer := sections.settings.get("timezone"):
        where = str(layer.document.place(layer.document.spot(("timezone",))))
    found[("timezone",)] = ValueOrigin("timezone", sections.timezone or "UTC", where)
    # The time zone of the file comes first: it is no key of a job.
    order = {key: index for index, key in enumerate(map_keys(schema.JobSpec))}
    return [found[path] for path in sorted(found, key=lambda path: order.get(str(path[0]), -1))]


def _shown(path: Path, value: Any, node: Node | None) -> str:
    masked = mask_value(value, is_secret=any(is_secret_key(str(key)) for key in path))
    if node is not None and node.kind == "scalar" and masked != "***":
        return mask_url(node.text)
    return masked if isinstance(masked, str) else json.dumps(masked, ensure_ascii=False)


def _leaves(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    """
    Yield the leaves without nulls and empty maps. A list is a leaf, because lists are replaced as a whole.
    """
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves((*path, key), item)
    elif value is not None and value != {}:
        yield path, value
