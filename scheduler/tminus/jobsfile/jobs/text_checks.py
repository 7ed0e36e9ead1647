"""Checks of the texts of a job: templates, references, and secrets in plain text."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

from tminus.jobsfile.jobs.external_references import ExternalReferences
from tminus.jobsfile.text.faults import Fault, text_fault
from tminus.jobsfile.text.masking import has_password, is_plain_secret
from tminus.jobsfile.text.problems import Severity
from tminus.jobsfile.text.tree import Path
from tminus.templates import calendars_in, check, has_parts, references

_MESSAGE = ("query", "headers", "json", "form", "body")
#: The keys whose values may hold `{{ … }}` and `${…}`, by the path of their map.
_TEXTS: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("http",): ("url", *_MESSAGE),
    ("flask",): ("url", "args", "session", *_MESSAGE),
    ("call",): ("args", "kwargs"),
    ("call", "request"): ("path", *_MESSAGE),
}


def text_faults(
    job: Mapping[str, Any], external: ExternalReferences, calendars: Collection[str]
) -> Iterator[Fault]:
    """
    Yield the faults of the texts of a job.

    Args:
        job: The merged job, short forms written out.
        external: Knows whether references can be resolved.
        calendars: The names of the calendars of the file.
    """
    params = _map(job.get("params"))
    for path, value in _texts(job):
        if isinstance(value, str) and has_parts(value):
            yield from _part_faults(path, value, params, external, calendars)
        else:
            yield from _plain_faults(path, value)
    for path, value in _leaves(("params",), params):
        if isinstance(value, str) and has_parts(value):
            hint = "write it where it is used; values under params: are shown, and put in as they are"
            yield Fault(
                message="{{ … }} and ${…} stay text here", path=path, hint=hint, severity=Severity.WARNING
            )
        else:
            yield from _plain_faults(path, value)


def calendars_used(job: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the calendars that the texts of a merged job use."""
    texts = (text for _, text in _texts(job) if isinstance(text, str) and "workday" in text)
    return frozenset().union(*map(calendars_in, texts))


def ledger_faults(ledger: str, external: ExternalReferences) -> Iterator[Fault]:
    """Yield the faults of a ledger's URL."""
    yield from _part_faults(("ledger",), ledger, {}, external)
    if has_password(ledger) and not has_parts(ledger):
        yield _plain_secret(("ledger",))


def _part_faults(
    path: Path,
    text: str,
    params: Mapping[str, Any],
    external: ExternalReferences,
    calendars: Collection[str] = (),
) -> Iterator[Fault]:
    for fault in check(text, params, calendars):
        yield text_fault(fault, path=path)
    for reference in references(text):
        if unresolved := external.reference_fault(reference):
            written = str(reference)
            yield replace(unresolved, path=path, offset=max(text.find(written), 0), length=len(written))


def _plain_faults(path: Path, value: Any) -> Iterator[Fault]:
    if isinstance(value, float) and not isfinite(value):
        yield Fault(message="JSON has no such number", path=path, hint="put it in quotes to make it a text")
    elif isinstance(value, str) and is_plain_secret(
        next((step for step in reversed(path) if isinstance(step, str)), ""), value
    ):
        yield _plain_secret(path)


def _plain_secret(path: Path) -> Fault:
    hint = "keep it outside, and write ${env:NAME} or ${file:PATH}"
    return Fault(message="a secret in plain text", path=path, hint=hint, severity=Severity.WARNING)


def _texts(job: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Yield the values that may hold `{{ … }}` and `${…}`, each with its path."""
    for where, keys in _TEXTS.items():
        inner = _map(job)
        for step in where:
            inner = _map(inner.get(step))
        for key in keys:
            if key in inner:
                yield from _leaves((*where, key), inner[key])
    for path, value in _leaves(("then",), job.get("then")):
        if "kwargs" in path[:-1]:
            yield path, value


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _leaves(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves((*path, key), item)
    else:
        yield path, value
