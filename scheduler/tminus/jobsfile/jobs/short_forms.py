"""
Short forms, written out: `http: URL`, `timeout: 30s`, a bare cron text, a list of one without its brackets.
"""

from typing import Any


def job(value: dict[str, Any]) -> dict[str, Any]:
    """Write out the short forms of a job's maps, so that they can be merged."""
    changed = {key: SHORT_FORMS[key](value[key]) for key in SHORT_FORMS.keys() & value.keys()}
    return {**value, **changed} if changed else value


def http(value: Any) -> Any:
    """Write out a URL: a request without anything else."""
    return {"url": value} if isinstance(value, str) else value


def call(value: Any) -> Any:
    """Write out a function without arguments."""
    return {"ref": value} if isinstance(value, str) else value


def handler(value: Any) -> Any:
    """Write out a function whose only argument is the value of the chain."""
    return {"call": value} if isinstance(value, str) else value


def timeout(value: Any) -> Any:
    """Write out a duration: the total."""
    return value if value is None or isinstance(value, dict) else {"total": value}


def schedule(value: Any) -> Any:
    """Write out a text, also in a list: a cron text, or `manual`."""
    if isinstance(value, str):
        return {"manual": True} if value == "manual" else {"cron": value}
    return [schedule(item) for item in value] if isinstance(value, list) else value


def several(value: Any) -> Any:
    """Write out one item: a list of one."""
    return value if value is None or isinstance(value, list) else [value]


SHORT_FORMS = {"http": http, "call": call, "timeout": timeout, "schedule": schedule, "notify": several}
