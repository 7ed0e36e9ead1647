"""One merged job, value by value, and where each comes from."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scheduler.jobsfile import language
from scheduler.jobsfile.build import Builder
from scheduler.jobsfile.faults import dotted
from scheduler.jobsfile.masking import is_plain_secret, mask_url
from scheduler.jobsfile.merge import origin
from scheduler.jobsfile.reader import Node, Path
from scheduler.jobsfile.sections import Sections


@dataclass(frozen=True, slots=True)
class ValueOrigin:
    """
    A value of a job.

    Args:
        key: Dotted.
        value: As written; secrets masked.
        where: `jobs.yaml:61`, `template crm, jobs.yaml:44`, `defaults, jobs.yaml:32`, or `built in`.
    """

    key: str
    value: str
    where: str


def explain(name: str, builder: Builder, sections: Sections) -> list[ValueOrigin]:
    """The values of a job in the order of the language, with the zone of the file where the job has none of its own."""
    layers, merged = builder.layers(name), builder.merged[name]
    found: dict[Path, ValueOrigin] = {}
    for path, value in _leaves((), merged):
        if layer := origin(layers, path):
            spot = layer.document.spot((*layer.base, *path))
            place = str(layer.document.place(spot))
            where = f"{layer.name}, {place}" if layer.name else place
            found[path] = ValueOrigin(dotted(path), _shown(path, value, spot.node), where)
    for path, value in _leaves((), language.BUILT_IN):
        if (path[0] == "http" and "http" not in merged) or (path[-1] == "kill_after" and "call" not in merged):
            continue
        found.setdefault(path, ValueOrigin(dotted(path), _shown(path, value, None), "built in"))
    if layer := sections.settings.get("timezone"):
        spot = layer.document.spot(("timezone",))
        found["timezone",] = ValueOrigin("timezone", sections.timezone or "UTC", f"{layer.document.path}:{spot.line}")
    else:
        found["timezone",] = ValueOrigin("timezone", "UTC", "built in")
    order = {key: index for index, key in enumerate(language.keys_of(language.Job, ()))}
    return [found[path] for path in sorted(found, key=lambda path: order.get(str(path[0]), -1))]


def _shown(path: Path, value: Any, node: Node | None) -> str:
    if is_plain_secret(str(path[-1]), value):
        return "***"
    if node is not None and node.kind == "scalar":
        return mask_url(node.text)
    return mask_url(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _leaves(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    """Lists are leaves: they are replaced whole."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves((*path, key), item)
    elif value is not None and value != {}:
        yield path, value
