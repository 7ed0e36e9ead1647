"""Faults: what is wrong at which key, before anyone knows in which file, template or default that key stands."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from scheduler.errors import nearest, quoted, shorten
from scheduler.jobsfile.problems import Severity
from scheduler.jobsfile.reader import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    Something wrong with one value or key.

    Args:
        words: The sentence without its subject, which is the dotted path of the key.
        hint: What would be right.
        path: Of the key, from the job, or from the top of the file.
        joint: Stands between subject and words.
        on_key: The key is what to point at, not its value.
        of_owner: The subject is the map that holds the key.
        shows_value: The sentence ends with the value as written.
        offset: A character within a text, counted from 0, that is what to point at.
        length: Of the part of the text that begins there.
        meant: The key that was probably meant, and so is not missing.
    """

    words: str
    hint: str
    path: Path = ()
    joint: str = ": "
    on_key: bool = False
    of_owner: bool = False
    shows_value: bool = False
    offset: int | None = None
    length: int = 1
    meant: str | None = None
    severity: Severity = Severity.ERROR

    def under(self, *path: str | int) -> Self:
        """The same, seen from the map that holds that path."""
        return replace(self, path=(*path, *self.path))


class Wrong(ValueError):
    """A value that cannot be used; raised where nobody knows yet where it stands."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(faults[0].words)
        self.faults = faults


def must(words: str, *, hint: str, **more: Any) -> Wrong:
    """A value of the wrong kind, or out of its range: `timeout must be …; got …`."""
    return Wrong(Fault(words=f"must {words}", joint=" ", hint=hint, shows_value=True, **more))


def wrong_type(wanted: str, value: Any, *, hint: str) -> Wrong:
    """A value of the wrong type."""
    return Wrong(Fault(words=f"must be {wanted}, got {type_name(value)}", joint=" ", hint=hint))


def not_yet(what: str = "", *, hint: str, on_key: bool = False) -> Wrong:
    """A part of the language that is still to come: a word, or the key itself."""
    words = f"{what} is not in this version yet".lstrip()
    return Wrong(Fault(words=words, joint=": " if what else " ", hint=hint, on_key=on_key))


#: Keys that other programs have, and what is written here instead.
_INSTEAD = {
    "command": "tminus starts no shell commands; it calls http:, flask: and call: (Python)",
    "cron": 'write schedule: {cron: "30 11 * * *"}',
    "every": "write schedule: {every: 5m}",
    "at": 'write schedule: {at: "11:30"}',
    "url": "write http: {url: https://HOST/PATH}",
    "method": "write it under http:",
    "headers": "write it under http:",
    "enabled": "write suspend: true for a job that is not to be due",
    "disabled": "write suspend: true for a job that is not to be due",
    "depends_on": "write then: [{callback: {run: JOB}}] in the job that it follows",
    "verify": "write tls: {insecure: true}",
    "data": "write form: or body:",
}


def unknown_key(path: Path, known: Mapping[str, bool]) -> Fault:
    """
    A key that the language does not have.

    Args:
        path: Of that key.
        known: The keys there are, and whether this version has them.
    """
    key = str(path[-1])
    near = None if key in _INSTEAD else nearest(key, known)
    listed = f"there are: {', '.join(sorted(key for key in known if known[key]))}"
    hint = f"did you mean {near}?" if near else _INSTEAD.get(key, listed)
    return Fault(words=f"unknown key {quoted(path[-1])}", path=path, hint=hint, on_key=True, of_owner=True, meant=near)


def type_name(value: Any) -> str:
    """How people call the type of a value of YAML."""
    names = {bool: "boolean", int: "integer", float: "number", str: "text", list: "list", dict: "map", type(None): "nothing"}
    return names.get(type(value), "something else")


def dotted(path: Path) -> str:
    """A path as people write it."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            step = shorten(step)
            plain = step if step.isprintable() and step and not set(step) & set(" .[]'\"") else repr(step)
            text += f".{plain}" if text else plain
    return text
