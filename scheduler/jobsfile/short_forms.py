"""Short forms, written out: `http: URL`, `timeout: 30s`, a bare cron text, a list of one without its brackets."""

from typing import Any


def job(value: dict[str, Any]) -> dict[str, Any]:
    """A job, a template or the defaults with the short forms of its maps written out, so that they can be merged."""
    changed = {key: SHORT_FORMS[key](value[key]) for key in SHORT_FORMS.keys() & value.keys()}
    return {**value, **changed} if changed else value


def http(value: Any) -> Any:
    """A URL is a request without anything else."""
    return {"url": value} if isinstance(value, str) else value


def call(value: Any) -> Any:
    """A function without arguments."""
    return {"ref": value} if isinstance(value, str) else value


def handler(value: Any) -> Any:
    """A function without arguments but the one that flows."""
    return {"call": value} if isinstance(value, str) else value


def timeout(value: Any) -> Any:
    """A duration is the total."""
    return value if value is None or isinstance(value, dict) else {"total": value}


def schedule(value: Any) -> Any:
    """A text is a cron, or `manual`; in a list too."""
    if isinstance(value, str):
        return {"manual": True} if value == "manual" else {"cron": value}
    return [schedule(item) for item in value] if isinstance(value, list) else value


def several(value: Any) -> Any:
    """A list of one may be written as its item."""
    return value if value is None or isinstance(value, list) else [value]


SHORT_FORMS = {"http": http, "call": call, "timeout": timeout, "schedule": schedule}
