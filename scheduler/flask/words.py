"""What `@scheduler.job` takes: the words of the jobs file. Here they only become JSON; the daemon judges them."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from scheduler.errors import did_you_mean
from scheduler.instants import duration_ns


class Words(TypedDict, total=False):
    """As in the jobs file; what stands below `schedule`, `call` and `flask` there stands beside the others here."""

    cron: str
    every: str | int | float
    at: str | Sequence[str]
    timezone: str
    schedule: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]
    timeout: str | int | float | Mapping[str, Any]
    misfire_grace_time: str | int | float
    coalesce: str
    max_instances: int
    overlap: str
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


_TIMES = ("cron", "every", "at", "timezone")
_OF_TARGET = ("args", "kwargs", "request", "isolate")
_HANDLERS = ("callback", "errback", "both")


def split(words: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """
    The keys of the job, and those of its target.

    Raises:
        TypeError: a word that there is not, or a value that is not JSON.
    """
    known = Words.__annotations__
    for word in words:
        if word not in known:
            raise TypeError(f"job() has no argument {word!r}{did_you_mean(word, known)}")
    said = {word: _json(word, chain(value) if word == "then" else value) for word, value in words.items()}
    times = {word: said.pop(word) for word in _TIMES if word in said}
    if times and "schedule" in said:
        raise TypeError(f"give schedule or {' and '.join(times)}, not both")
    if times:
        said["schedule"] = times
    target = {word: said.pop(word) for word in _OF_TARGET if word in said}
    return said, target


def _json(word: str, value: Any) -> Any:
    """The value as JSON has it, a copy that nobody changes any more."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError) as error:
        raise TypeError(f"{word}: {error}; a job's words are JSON") from None
    return json.loads(text)


def chain(value: Any) -> Any:
    """`then` with its functions by their names; a function that stands alone is a callback."""
    if isinstance(value, list | tuple):
        return [chain(link) for link in value]
    if callable(value):
        return {"callback": _ref(value)}
    if isinstance(value, Mapping):
        return {key: _handler(handler) if key in _HANDLERS else handler for key, handler in value.items()}
    return value


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
        raise TypeError(f"then: {name} cannot be found by its name; give a function that stands in a module")
    return ref


def ref_of(function: Callable[..., Any]) -> str | None:
    """Its `module:name`, by which another process finds it; None where none does."""
    name = getattr(function, "__qualname__", "")
    if not name.isidentifier():
        return None
    if function.__module__ != "__main__":
        return f"{function.__module__}:{name}"
    # Started as a script, or by `python -m`: others import it.
    main = sys.modules["__main__"]
    file, spec = getattr(main, "__file__", None), getattr(main, "__spec__", None)
    module = spec.name if spec else Path(file).stem if file else None
    return f"{module}:{name}" if module else None


def span_ns(word: str, value: str | float) -> int:
    """
    A duration, as the jobs file writes it.

    Raises:
        ValueError: it is none.
    """
    found = duration_ns(value)
    if found is None or found < 0:
        raise ValueError(f"{word} must be a duration such as 15s, 2m or 1h, or seconds; got {value!r}")
    return found
