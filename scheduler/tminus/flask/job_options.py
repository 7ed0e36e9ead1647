"""The options of `@scheduler.job` and `@background`. Here they become JSON; the daemon validates them."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict

from tminus.instants import duration_ns, parse_rfc3339, to_ns
from tminus.model import payload
from tminus.suggestions import did_you_mean


class JobOptions(TypedDict, total=False):
    """The keys of a job in the jobs file, together with those of its `schedule`, `call` and `flask`."""

    cron: str
    every: str | int | float
    at: str | Sequence[str]
    timezone: str
    schedule: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]
    timeout: str | int | float | Mapping[str, Any]
    misfire_grace_time: str | int | float
    coalesce: str
    catchup_window: str | int | float
    max_catchup: int
    not_after: str
    finish_by: str
    max_instances: int
    overlap: str
    retry: Any
    pause_on_failure: int
    on_unknown: str
    notify: str | Sequence[str]
    params: Mapping[str, Any]
    tags: Sequence[str]
    description: str
    suspend: bool
    expect: Mapping[str, Any]
    then: Any
    args: Sequence[Any] | Mapping[str, Any]
    kwargs: Mapping[str, Any]
    request: Mapping[str, Any]
    isolate: str


class RetryOptions(TypedDict, total=False):
    """The keys of `retry` in the jobs file. Exceptions may stand for their names."""

    max_attempts: int
    initial_interval: str | int | float
    backoff_coefficient: int | float
    max_interval: str | int | float
    jitter: str
    retry_on: Sequence[str | int | type[BaseException]]
    respect_retry_after: bool


_SCHEDULE_KEYS = ("cron", "every", "at", "timezone")
_TARGET_KEYS = ("args", "kwargs", "request", "isolate")
_HANDLERS = ("callback", "errback", "both")


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """
    Return the keys of the job, and those of its target.

    Raises:
        TypeError: an option is unknown, or its value is not JSON.
    """
    known = JobOptions.__annotations__
    for name in options:
        if name not in known:
            raise TypeError(f"job() has no argument {name!r}{did_you_mean(name, known)}")
    normalize = {"then": normalize_chain, "retry": normalize_retry}
    keys = {
        name: _json_copy(name, normalize[name](value) if name in normalize else value)
        for name, value in options.items()
    }
    schedule = {name: keys.pop(name) for name in _SCHEDULE_KEYS if name in keys}
    if schedule and "schedule" in keys:
        raise TypeError(f"give schedule or {' and '.join(schedule)}, not both")
    if schedule:
        keys["schedule"] = schedule
    target = {name: keys.pop(name) for name in _TARGET_KEYS if name in keys}
    return keys, target


def _json_copy(name: str, value: Any) -> Any:
    """Return the value as JSON represents it: a copy, so that later changes have no effect."""
    try:
        text = payload.dumps(value, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: {error}; the options of a job must be JSON") from None
    return json.loads(text)


def normalize_chain(value: Any) -> Any:
    """Return a chain as a list, with names instead of functions. A function alone is a callback."""
    if callable(value) or isinstance(value, Mapping):
        return [_link(value)]
    return [_link(link) for link in value] if isinstance(value, list | tuple) else value


def _link(value: Any) -> Any:
    if callable(value):
        return {"callback": _ref(value)}
    if isinstance(value, Mapping):
        return {key: _handler(handler) if key in _HANDLERS else handler for key, handler in value.items()}
    return value


def normalize_retry(value: Any) -> Any:
    """
    Return the keys of a retry policy, with names instead of exceptions. A number is `max_attempts`.

    Raises:
        TypeError: a key is unknown.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return {"max_attempts": value}
    if not isinstance(value, Mapping):
        return value
    for name in value:
        if name not in RetryOptions.__annotations__:
            raise TypeError(f"retry has no key {name!r}{did_you_mean(name, RetryOptions.__annotations__)}")
    reasons = value.get("retry_on")
    if not isinstance(reasons, list | tuple):
        return value
    return {**value, "retry_on": [_exception_name(reason) for reason in reasons]}


def _exception_name(reason: Any) -> Any:
    if isinstance(reason, type) and issubclass(reason, BaseException):
        return f"{reason.__module__}.{reason.__qualname__}"
    return reason


def _handler(handler: Any) -> Any:
    if callable(handler):
        return _ref(handler)
    if isinstance(handler, Mapping) and callable(handler.get("call")):
        return {**handler, "call": _ref(handler["call"])}
    return handler


def _ref(function: Callable[..., Any]) -> str:
    ref = ref_of(function)
    if ref is None:
        name = getattr(function, "__qualname__", repr(function))
        raise TypeError(f"then: {name} must be defined at the top level of a module")
    return ref


def ref_of(function: Callable[..., Any]) -> str | None:
    """Return the `module:name` by which another process finds a function; None if it cannot."""
    name = getattr(function, "__qualname__", "")
    if not name.isidentifier():
        return None
    if function.__module__ != "__main__":
        return f"{function.__module__}:{name}"
    # Its module was started as a script, or by `python -m`. Other processes import that by its name.
    main = sys.modules["__main__"]
    file, spec = getattr(main, "__file__", None), getattr(main, "__spec__", None)
    module = spec.name if spec else Path(file).stem if file else None
    return f"{module}:{name}" if module else None


def parse_instant_ns(name: str, value: str | datetime) -> int:
    """
    Return an instant, RFC 3339 or a datetime with a zone, in nanoseconds since the Unix epoch.

    Args:
        name: The option that has this value, for the message.

    Raises:
        ValueError: the value is not an instant.
    """
    if not isinstance(value, datetime):
        return parse_rfc3339(value)
    if value.tzinfo is None:
        raise ValueError(f"{name} needs a time zone; got {value.isoformat()}")
    return to_ns(value)


def parse_duration_ns(name: str, value: str | float) -> int:
    """
    Return a duration, written as in the jobs file.

    Args:
        name: The option that has this value, for the message.

    Raises:
        ValueError: the value is not a duration.
    """
    found = duration_ns(value)
    if found is None or found < 0:
        raise ValueError(f"{name} must be a duration such as 15s, 2m or 1h, or seconds; got {value!r}")
    return found
