"""
The jobs that the code of an application defines. `tminus.flask` adds them while the application is imported,
and the runner and the check of the application read them afterwards. Web servers and other processes that
import the application never do.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from tminus.executors.python import texts

if TYPE_CHECKING:
    from flask import Flask

#: Wrappers that are followed at most. An object may return a new `__wrapped__` at each access, without end.
_MOST_WRAPPERS = 100
_METHODS = ("GET", "POST")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DefinedJob:
    """
    A job as the code defines it.

    Attributes:
        keys: Keys and values of the jobs file, as JSON has them.
        target: The keys below `call` or `flask`: args, kwargs, request, isolate.
    """

    function: Callable[..., Any]
    name: str
    keys: Mapping[str, Any]
    target: Mapping[str, Any]
    file: str
    line: int


@dataclass(slots=True, eq=False)
class JobRegistry:
    """
    The jobs that one `Scheduler` defines.

    Attributes:
        app: A name under `apps`; None for every runner.
        flask_apps: The applications that it was given, as far as they still exist.
        is_bound: Whether it was given one. Otherwise it belongs to all.
    """

    app: str | None
    flask_apps: "WeakSet[Flask]" = field(default_factory=WeakSet)
    is_bound: bool = False
    defined: list[DefinedJob] = field(default_factory=list)


#: In the order of their creation. They stay here, because those of a factory have no other owner.
_registries: list[JobRegistry] = []


def new_registry(app: str | None) -> JobRegistry:
    """Return the registry of a new `Scheduler`."""
    _registries.append(registry := JobRegistry(app))
    return registry


def code_jobs(app: "Flask | None", app_name: str) -> list[dict[str, Any]]:
    """
    Return the jobs of an application as messages: `name keys file line error`.

    Args:
        app: The imported application.
        app_name: Its name under `apps`. If jobs name it inline, as `module:app`, it defines no jobs, because
            it is imported only if a job of the file needs it.
    """
    if app is None or ":" in app_name:
        return []
    registries = [
        registry
        for registry in _registries
        if registry.app in (None, app_name) and (not registry.is_bound or app in registry.flask_apps)
    ]
    found: dict[tuple[str, str, int], list[DefinedJob]] = {}
    for one in chain.from_iterable(registry.defined for registry in registries):
        same = found.setdefault((_name_of(one), one.file, one.line), [])
        # If a module is imported twice, or a factory is called twice, the same lines run again. Then the last
        # time counts. But one function that is defined twice under one name stays twice, and is an error.
        same[:] = [other for other in same if other.function is one.function] + [one]
    endpoints: dict[int, str] = {}
    for endpoint, view in app.view_functions.items():
        for function in _unwrapped(view):
            endpoints.setdefault(id(function), endpoint)
    return [
        _to_message_or_error(one, app, app_name, endpoints.get(id(one.function)))
        for same in found.values()
        for one in same
    ]


def other_apps(app_name: str) -> list[str]:
    """Return the names of other applications for which this code defines jobs."""
    return sorted(
        {
            registry.app
            for registry in _registries
            if registry.app and registry.app != app_name and registry.defined
        }
    )


def _to_message_or_error(
    one: DefinedJob, app: "Flask", app_name: str, endpoint: str | None
) -> dict[str, Any]:
    """
    Return the message of a job. If the job cannot be read, the message has the error, which is reported among
    the errors of the jobs file.
    """
    try:
        if not isinstance(one.name, str):
            raise TypeError("its name is no text")
        message = _to_message(one, app, app_name, endpoint)
        json.dumps(message).encode()
    except Exception as error:  # noqa: BLE001  whatever its attributes are, or do
        return {
            "name": _name_of(one),
            "file": str(one.file),
            "line": one.line,
            "error": f"it cannot be read: {texts.describe_error(error)}",
            "keys": {},
        }
    return message


def _name_of(one: DefinedJob) -> str:
    """Return the name of a job as a text, whatever the code has given it."""
    return texts.user_text(lambda: str(one.name), "?")


def _to_message(one: DefinedJob, app: "Flask", app_name: str, endpoint: str | None) -> dict[str, Any]:
    message = {"name": one.name, "file": os.path.abspath(one.file), "line": one.line, "error": ""}
    if endpoint is not None:
        target = {"method": _method_of(app, endpoint), **one.target}
        if isinstance(target.get("request"), dict):
            target |= target.pop("request")
        return message | {"keys": {**one.keys, "flask": {**target, "endpoint": endpoint, "app": app_name}}}
    ref = f"{one.function.__module__}:{one.function.__name__}"
    found = getattr(sys.modules.get(one.function.__module__), one.function.__name__, None)
    if not any(function is one.function for function in _unwrapped(found)):
        message["error"] = (
            f"{one.function.__qualname__} is not a view of the application, and {ref} does not lead to it"
        )
    return message | {"keys": {**one.keys, "call": {**one.target, "ref": ref, "app": app_name}}}


def _unwrapped(found: Any) -> Iterator[Any]:
    """Yield an object, and the functions that it wraps as a decorator."""
    for _ in range(_MOST_WRAPPERS):
        if found is None:
            return
        yield found
        try:
            found = getattr(found, "__wrapped__", None)
        except Exception:  # noqa: BLE001  an object may raise anything here
            return


def _method_of(app: "Flask", endpoint: str) -> str:
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint == endpoint]
    methods = {method for rule in rules for method in rule.methods or ()} - {"HEAD", "OPTIONS"}
    return next((method for method in _METHODS if method in methods), min(methods, default="GET"))
