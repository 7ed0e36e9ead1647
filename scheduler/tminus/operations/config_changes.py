"""What differs between two versions of the configuration: jobs that came, went or changed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Stands for a key that one of two maps does not have. null is a value.
_MISSING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigChanges:
    """
    Attributes:
        added, removed: Names of jobs.
        changed: For each job that has changed, the keys that differ, such as `http.url`.
        are_known: Whether both versions could be read.
    """

    added: Sequence[str]
    removed: Sequence[str]
    changed: Mapping[str, Sequence[str]]
    are_known: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return the JSON of the changes in `tminus reload --json`."""
        changes = {"added": list(self.added), "removed": list(self.removed), "changed": dict(self.changed)}
        return changes if self.are_known else {**changes, "changes_known": False}


UNKNOWN_CHANGES = ConfigChanges(added=(), removed=(), changed={}, are_known=False)


def compare(before: str, after: str) -> ConfigChanges:
    """
    Return what has changed between two texts of `Definitions.text`.

    Raises:
        ValueError: one of them is not such a text.
    """
    old, new = _jobs(before), _jobs(after)
    changed = {name: _differing_keys(old[name], new[name]) for name in new if name in old}
    return ConfigChanges(
        added=[name for name in new if name not in old],
        removed=[name for name in old if name not in new],
        changed={name: keys for name, keys in changed.items() if keys},
    )


def _jobs(text: str) -> dict[str, Any]:
    content = json.loads(text)
    code = {f"{job['name']}": job["keys"] for job in content.get("code", ())}
    return {**content["jobs"], **code}


def _differing_keys(old: Any, new: Any, path: str = "") -> list[str]:
    if old == new:
        return []
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [path]
    keys = dict.fromkeys((*old, *new))
    return [
        found
        for key in keys
        for found in _differing_keys(
            old.get(key, _MISSING), new.get(key, _MISSING), f"{path}.{key}" if path else str(key)
        )
    ]
