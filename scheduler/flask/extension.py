"""`Scheduler`: what an application makes once, and defines its jobs with."""

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from scheduler.executors.python import registry
from scheduler.flask import handover
from scheduler.flask.credentials import Keys
from scheduler.flask.state import State
from scheduler.flask.words import Words, split

if TYPE_CHECKING:
    from flask import Flask

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Scheduler:
    """
    The jobs of an application, defined in its code. Its runner finds them there; every other process does nothing with them.

    Args:
        flask_app: As for `init_app`.
        app: The application's name under `apps:` in the jobs file; None where the code is one application's only.
        authorize: Whether the current request may see the run with an id; None: who knows the id may.
        events: Whether each run has an event stream, too; for web servers with threads.
        drop: Keys of query, form, JSON and session, and headers, that no copy of a request holds; credentials are built in.
        keep_headers: Headers that a copy of a request holds, besides those that are built in.

    Attributes:
        state: Counters, flags and locks that all processes of the application share.

    Raises:
        TypeError: one of them stands in the place of the other.
        ValueError: a header of `keep_headers` is made for credentials.
    """

    def __init__(
        self,
        flask_app: "Flask | None" = None,
        *,
        app: str | None = None,
        drop: Iterable[str] = (),
        keep_headers: Iterable[str] = (),
        authorize: Callable[[str], bool] | None = None,
        events: bool = False,
    ) -> None:
        if isinstance(flask_app, str) or not isinstance(app, str | None):
            raise TypeError("write Scheduler(flask_app), or Scheduler(app=NAME) with its name under apps: in the jobs file")
        self.app = app
        self.state = State(lambda: handover.app_name(self))
        self.copied_keys = Keys(drop=drop, keep_headers=keep_headers)
        self._authorize = authorize
        self._events = events
        self._book = registry.a_book(app)
        handover.schedulers.add(self)
        if flask_app is not None:
            self.init_app(flask_app)

    def init_app(self, flask_app: "Flask") -> None:
        """Belong to that application, and to no other that was not given likewise; its pages are under `/scheduler`."""
        from scheduler.flask.pages import blueprint

        flask_app.extensions["scheduler"] = self
        flask_app.register_blueprint(blueprint(self._authorize, events=self._events))
        self._book.flask_apps.add(flask_app)

    def job(self, name: str | None = None, **words: Unpack[Words]) -> Callable[[_Function], _Function]:
        """
        Define a job that calls the decorated function, or, where that is a view, sends it a request.

        Args:
            name: Built in: the function's.
            words: As in the jobs file: a schedule by `cron`, `every`, `at` and `timezone`, or whole by `schedule`; policies; what
                follows by `then`, functions as such or by name; `args kwargs request isolate` of the call. For a view `request`
                is what stands below `flask` in the file, `args` the map for its URL.

        Returns:
            A decorator that hands the function back as it is.

        Raises:
            TypeError: no such word, or a value that is not JSON. All else is said where the jobs file's errors are, with the
                place of the function.
        """
        if callable(name):
            raise TypeError("write @scheduler.job(), with brackets")
        keys, target = split(words)

        def define(function: _Function) -> _Function:
            code = getattr(inspect.unwrap(function), "__code__", None)
            if code is None:
                raise TypeError(f"@scheduler.job is for functions, not for {function!r}")
            defined = registry.Defined(
                function=function,
                name=name or function.__name__,
                keys=keys,
                target=target,
                file=code.co_filename,
                line=code.co_firstlineno,
            )
            self._book.defined.append(defined)
            return function

        return define
