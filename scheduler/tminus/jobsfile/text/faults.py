"""Faults: what is wrong at which key, before its place in a file, template or default is known."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from tminus.errors import InvalidText, quoted, shorten
from tminus.jobsfile.text.problems import Severity
from tminus.jobsfile.text.tree import Path
from tminus.suggestions import nearest
from tminus.templates import TextFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    An error or a warning about one value or key.

    Args:
        message: The sentence without its subject, which is the dotted path of the key.
        hint: What would be right.
        path: The path of the key, from the job or from the top of the file.
        joint: The text between subject and sentence.
        on_key: Whether to point at the key, not at its value.
        of_owner: Whether the subject is the map that has the key.
        shows_value: Whether the sentence ends with the value as written.
        offset: A character within a text to point at, counted from 0.
        length: The number of characters to point at.
        meant: The key that was probably meant. It does not count as missing.
        severity: Whether the file is invalid because of it.
    """

    message: str
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
        """Return the same fault, seen from the map that has that path."""
        return replace(self, path=(*path, *self.path))


class InvalidValue(ValueError):
    """
    A value that cannot be used, before its place in the file is known.

    Args:
        faults: Everything that is wrong with it; at least one.
        rest: The part of the value that is right; None if there is none.
    """

    def __init__(self, *faults: Fault, rest: Any = None) -> None:
        super().__init__(faults[0].message)
        self.faults = faults
        self.rest = rest


def invalid_value(message: str, *, hint: str, **more: Any) -> InvalidValue:
    """Return the error for a value out of its range or of the wrong form: `timeout must be …; got …`."""
    return InvalidValue(Fault(message=f"must {message}", joint=" ", hint=hint, shows_value=True, **more))


def wrong_type(wanted: str, value: Any, *, hint: str) -> InvalidValue:
    """Return the error for a value of the wrong type."""
    return InvalidValue(Fault(message=f"must be {wanted}, got {type_name(value)}", joint=" ", hint=hint))


#: Keys of other programs, with what to write instead.
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
    "after": "write then: [{callback: {run: JOB}}] in the job that it follows",
    "auth": "give an Authorization header, with ${env:…} or ${file:…} for the secret",
    "verify": "write tls: {insecure: true}",
    "data": "write form: or body:",
}


def key_fault(path: Path, message: str, *, hint: str) -> Fault:
    """Return the fault of a key that may not be where it is. The subject is the map that has the key."""
    return Fault(message=message, path=path, hint=hint, on_key=True, of_owner=True)


def exclusive_keys(owner: Path, keys: Sequence[str], *, hint: str) -> Fault:
    """Return the fault of several keys of one map that exclude each other, at the last one."""
    message = f"give {', '.join(keys[:-1])} or {keys[-1]}, not {'both' if len(keys) == 2 else 'all'}"
    return key_fault((*owner, keys[-1]), message, hint=hint)


def text_fault(error: InvalidText | TextFault, **more: Any) -> Fault:
    """Return the fault of a text that another layer has refused, at the place in the text."""
    return Fault(message=error.message, hint=error.hint, offset=error.offset, length=error.length, **more)


def unknown_key(path: Path, known: Collection[str]) -> Fault:
    """
    Return the fault of a key that is not in the schema.

    Args:
        path: The path of the key.
        known: The keys of that map.
    """
    key = str(path[-1])
    near = None if key in _INSTEAD else nearest(key, known)
    listed = f"there are: {', '.join(sorted(known))}"
    hint = f"did you mean {near}?" if near else _INSTEAD.get(key, listed)
    return replace(key_fault(path, f"unknown key {quoted(key)}", hint=hint), meant=near)


def type_name(value: Any) -> str:
    """Return what people call the type of a YAML value."""
    names = {
        bool: "boolean",
        int: "integer",
        float: "number",
        str: "text",
        list: "list",
        dict: "map",
        type(None): "nothing",
    }
    return names.get(type(value), "something else")


def to_dotted(path: Path) -> str:
    """Return a path as people write it."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            step = shorten(step)
            plain = step if step.isprintable() and step and not set(step) & set(" .[]'\"") else repr(step)
            text += f".{plain}" if text else plain
    return text
