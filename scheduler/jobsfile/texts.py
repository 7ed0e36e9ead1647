"""The texts of a job: whether what is to be put in can be, and whether secrets stand there in plain text."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

from scheduler.jobsfile.faults import Fault
from scheduler.jobsfile.masking import has_password, is_plain_secret
from scheduler.jobsfile.outside import Outside
from scheduler.jobsfile.problems import Severity
from scheduler.jobsfile.reader import Path
from scheduler.templates import check, has_parts, references

_MESSAGE = ("query", "headers", "json", "form", "body")
#: What may hold `{{ … }}` and `${…}`.
_TEXTS: Mapping[Path, tuple[str, ...]] = {
    ("http",): ("url", *_MESSAGE),
    ("flask",): ("url", "args", *_MESSAGE),
    ("call",): ("args", "kwargs"),
    ("call", "request"): ("path", *_MESSAGE),
}


def text_faults(job: Mapping[str, Any], outside: Outside) -> Iterator[Fault]:
    """
    What is wrong with the texts of a job.

    Args:
        job: Merged, short forms written out.
        outside: Knows whether references stand for something.
    """
    names = _map(job.get("params"))
    for path, value in _texts(job):
        if isinstance(value, str) and has_parts(value):
            yield from _part_faults(path, value, names, outside)
        else:
            yield from _plain_faults(path, value)
    for path, value in _leaves(("then",), job.get("then")):
        if isinstance(value, str) and "kwargs" in path:
            yield from _part_faults(path, value, names, outside) if has_parts(value) else _plain_faults(path, value)
    for path, value in _leaves(("params",), names):
        if isinstance(value, str) and has_parts(value):
            hint = "write it where it is used; values under params: are shown, and put in as they are"
            yield Fault(words="{{ … }} and ${…} stay text here", path=path, hint=hint, severity=Severity.WARNING)
        else:
            yield from _plain_faults(path, value)


def ledger_faults(ledger: str, outside: Outside) -> Iterator[Fault]:
    """What is wrong with the texts in a ledger's URL."""
    yield from _part_faults(("ledger",), ledger, {}, outside)
    if has_password(ledger) and not has_parts(ledger):
        yield _plain_secret(("ledger",))


def _part_faults(path: Path, text: str, params: Mapping[str, Any], outside: Outside) -> Iterator[Fault]:
    for fault in check(text, params):
        yield Fault(words=fault.message, path=path, hint=fault.hint, offset=fault.offset, length=fault.length)
    for reference in references(text):
        if fault_there := outside.reference_fault(reference):
            written = str(reference)
            yield replace(fault_there, path=path, offset=max(text.find(written), 0), length=len(written))


def _plain_faults(path: Path, value: Any) -> Iterator[Fault]:
    if isinstance(value, float) and not isfinite(value):
        yield Fault(words="JSON has no such number", path=path, hint="put it in quotes to make it a text")
    elif isinstance(value, str) and is_plain_secret(next((step for step in reversed(path) if isinstance(step, str)), ""), value):
        yield _plain_secret(path)


def _plain_secret(path: Path) -> Fault:
    hint = "keep it outside, and write ${env:NAME} or ${file:PATH}"
    return Fault(words="a secret in plain text", path=path, hint=hint, severity=Severity.WARNING)


def _texts(job: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    for where, keys in _TEXTS.items():
        inner: Any = job
        for step in where:
            inner = inner.get(step) if isinstance(inner, dict) else None
        if isinstance(inner, dict):
            for key in keys:
                if inner.get(key) is not None:
                    yield from _leaves((*where, key), inner[key])


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _leaves(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    if not isinstance(value, dict | list):
        yield path, value
        return
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, dict | list):
            yield from _leaves((*path, key), item)
        else:
            yield (*path, key), item
