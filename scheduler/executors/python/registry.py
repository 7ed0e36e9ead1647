"""
The jobs that the code of an application defines: `scheduler.flask` writes them down while the application is imported, its
runner reads them afterwards. In every other process that imports the application nobody ever asks.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from scheduler.executors.python import texts

if TYPE_CHECKING:
    from flask import Flask

#: Around a function, one within the other: an object may make a fresh one whenever it is asked.
_MOST_WRAPPERS = 100
_METHODS = ("GET", "POST")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Defined:
    """
    A job as the code says it.

    Attributes:
        keys: In the words of the jobs file, as JSON has them.
        target: What goes below `call` or `flask`: args, kwargs, request, isolate.
    """

    function: Callable[..., Any]
    name: str
    keys: Mapping[str, Any]
    target: Mapping[str, Any]
    file: str
    line: int


@dataclass(slots=True, eq=False)
class Book:
    """
    What one `Scheduler` defines.

    Attributes:
        app: A name under `apps`; None for whichever runner asks.
        flask_apps: Those that it was given; without any it is everybody's.
    """

    app: str | None
    flask_apps: "WeakSet[Flask]" = field(default_factory=WeakSet)
    defined: list[Defined] = field(default_factory=list)


#: In the order in which they were made; never let go, for those of a factory have no other owner.
_books: list[Book] = []


def a_book(app: str | None) -> Book:
    """For a new `Scheduler`."""
    _books.append(book := Book(app))
    return book


def code_jobs(app: "Flask | None", app_name: str) -> list[dict[str, Any]]:
    """
    The jobs that belong to an application, as they cross the pipe: `name keys file line error`.

    Args:
        app: Imported.
        app_name: Under `apps`; empty where it stands there under no name.
    """
    if app is None or not app_name:
        return []
    books = [book for book in _books if book.app in (None, app_name) and (not book.flask_apps or app in book.flask_apps)]
    found: dict[tuple[str, str, int], list[Defined]] = {}
    for one in (one for book in books for one in book.defined):
        same = found.setdefault((one.name, one.file, one.line), [])
        # A module that is imported twice, or a factory that is called twice, runs the same lines again: the last time counts. The
        # same function defined twice under one name is no such thing.
        same[:] = [other for other in same if other.function is one.function] + [one]
    endpoints: dict[int, str] = {}
    for endpoint, view in app.view_functions.items():
        for function in _unwrapped(view):
            endpoints.setdefault(id(function), endpoint)
    return [_said_or_why(one, app, app_name, endpoints.get(id(one.function))) for same in found.values() for one in same]


def other_apps(app_name: str) -> list[str]:
    """The names of other applications, for which this code defines jobs, too."""
    return sorted({book.app for book in _books if book.app and book.app != app_name and book.defined})


def _said_or_why(one: Defined, app: "Flask", app_name: str, endpoint: str | None) -> dict[str, Any]:
    """One that is too odd to be read costs itself: the application runs, and the jobs file's errors name it."""
    try:
        if not isinstance(one.name, str):
            raise TypeError("its name is no text")
        said = _said(one, app, app_name, endpoint)
        json.dumps(said).encode()
    except Exception as error:  # noqa: BLE001  whatever its attributes are, or do
        name = texts.said(lambda: str(one.name), "?")
        return {
            "name": name,
            "file": str(one.file),
            "line": one.line,
            "error": f"it cannot be read: {texts.of_error(error)}",
            "keys": {},
        }
    return said


def _said(one: Defined, app: "Flask", app_name: str, endpoint: str | None) -> dict[str, Any]:
    said = {"name": one.name, "file": os.path.abspath(one.file), "line": one.line, "error": ""}
    if endpoint is not None:
        target = {"method": _method_of(app, endpoint), **one.target}
        if isinstance(target.get("request"), dict):
            target |= target.pop("request")
        return said | {"keys": {**one.keys, "flask": {**target, "endpoint": endpoint, "app": app_name}}}
    ref = f"{one.function.__module__}:{one.function.__name__}"
    found = getattr(sys.modules.get(one.function.__module__), one.function.__name__, None)
    if not any(function is one.function for function in _unwrapped(found)):
        said["error"] = f"{one.function.__qualname__} is no view of the application, and not to be found as {ref}"
    return said | {"keys": {**one.keys, "call": {**one.target, "ref": ref, "app": app_name}}}


def _unwrapped(found: Any) -> Iterator[Any]:
    """What was found, and what it is a decorator's wrapper around."""
    for _ in range(_MOST_WRAPPERS):
        if found is None:
            return
        yield found
        try:
            found = getattr(found, "__wrapped__", None)
        except Exception:  # noqa: BLE001  whatever an object does when it is asked
            return


def _method_of(app: "Flask", endpoint: str) -> str:
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint == endpoint]
    methods = {method for rule in rules for method in rule.methods or ()} - {"HEAD", "OPTIONS"}
    return next((method for method in _METHODS if method in methods), min(methods, default="GET"))
