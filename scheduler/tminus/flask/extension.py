"""`Scheduler`: the Flask extension. An application creates one and defines its jobs with it."""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from tminus.clock import SystemClock
from tminus.errors import UsageError
from tminus.executors.python import registry
from tminus.flask import application, client, operator
from tminus.flask.client import RunHandle
from tminus.flask.copy_rules import CopyRules
from tminus.flask.job_options import JobOptions, parse_instant_ns, split_options
from tminus.flask.state import State
from tminus.instants import rfc3339
from tminus.model import payload
from tminus.policies.pause import check_reason

if TYPE_CHECKING:
    from flask import Flask

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Scheduler:
    """
    The jobs, background runs and shared state of an application.

    The jobs that the code defines are read in two processes: the runner of the application, and the process
    that inspects it, such as for `tminus validate`. In every other process the definitions have no effect.

    Args:
        flask_app: The application, as for `init_app`.
        app: The application's name under `apps:` in the jobs file. None if the code belongs to one
            application only.
        authorize: Returns whether the current request may see the run with this id. None allows every request
            that knows the id.
        events: Whether each run also has an event stream. For web servers with threads only.
        drop: Further keys and headers of a request. In its copy, the values of these keys of query, form,
            JSON and session are `***`; these headers are left out. Credentials are always masked or left out.
        keep_headers: Further headers that the copy of a request contains.
        max_copy: The largest copy of a request, in bytes of JSON. A larger one is an error of `submit`.
        name: The name of the blueprint, and so of the endpoints `NAME.run` and `NAME.script`.
        url_prefix: The beginning of the blueprint's paths.

    Attributes:
        state: Values, counters and locks that all processes of the application share; see `State`.

    Raises:
        TypeError: `flask_app` is a text, or `app` is neither a text nor None.
        ValueError: `keep_headers` names a header that always contains credentials.
    """

    def __init__(
        self,
        flask_app: "Flask | None" = None,
        *,
        app: str | None = None,
        drop: Iterable[str] = (),
        keep_headers: Iterable[str] = (),
        max_copy: int = payload.MOST_BYTES,
        authorize: Callable[[str], bool] | None = None,
        events: bool = False,
        name: str = "tminus",
        url_prefix: str = "/tminus",
    ) -> None:
        if isinstance(flask_app, str) or not isinstance(app, str | None):
            raise TypeError("write Scheduler(flask_app), or Scheduler(app=NAME) with its name under apps:")
        self.app = app
        self.state = State(lambda: application.app_name(self))
        self.copy_rules = CopyRules(drop=drop, keep_headers=keep_headers, max_bytes=max_copy)
        self._authorize = authorize
        self._events = events
        self._name = name
        self._url_prefix = url_prefix
        self._registry = registry.new_registry(app)
        application.schedulers.add(self)
        if flask_app is not None:
            self.init_app(flask_app)

    def init_app(self, flask_app: "Flask") -> None:
        """
        Register the blueprint with an application, and define the jobs for it. If it is never called, the
        jobs are defined for every application that imports them. With `app`, they are defined for the
        application of that name only.

        Raises:
            UsageError: the application has a blueprint with this name.
        """
        from tminus.flask.blueprint import create_blueprint

        if self._name in flask_app.blueprints:
            raise UsageError(
                f"the application has a blueprint {self._name!r}",
                hint="write Scheduler(…, name=…, url_prefix=…) with others",
            )
        flask_app.extensions["tminus"] = self
        flask_app.register_blueprint(
            create_blueprint(self._name, self._url_prefix, self._authorize, events=self._events)
        )
        self._registry.flask_apps.add(flask_app)
        self._registry.is_bound = True

    def run(self, id: str) -> RunHandle:
        """
        Return the background run with this id. Not available in code that a runner runs.

        Raises:
            UsageError: there is none in the ledger, or the caller is a job.
            LedgerError: the ledger does not work.
        """
        return client.find_run(id)

    def run_now(self, job: str, /, **params: Any) -> str | None:
        """
        Start a job now, as `tminus run-now --no-wait` does. It also works in a job of the same daemon.

        Args:
            job: Its name, from the jobs file or from code.
            params: Values that replace those under its `params:`.

        Returns:
            The id of its occurrence. None if no daemon runs, or it has not answered within 5 s: then the job
            starts once a daemon takes the request.

        Raises:
            UsageError: there is no such job, it has no such param, or the value is of another type.
            TypeError: a value is not JSON.
            LedgerError: the ledger does not work.
        """
        values = {
            name: value if isinstance(value, str) else json.dumps(value) for name, value in params.items()
        }
        answer = self._ask("run_now", {"jobs": [job], "set": values, "at_ns": None})
        return None if answer is None else str(answer["occurrences"][0])

    def pause(self, job: str, *, until: str | datetime | None = None, reason: str = "") -> bool:
        """
        Stop starting a job by its schedule, as `tminus pause` does.

        Args:
            job: Its name.
            until: Resume it by itself at this time: RFC 3339, or a datetime with a zone.
            reason: Shown by `tminus history` and `tminus jobs`; at most 1,000 characters.

        Returns:
            True if the pause is in force. False if no daemon runs, or it has not answered within 5 s: then
            the pause begins when a daemon takes the request.

        Raises:
            UsageError: there is no such job, or the reason is too long.
            TypeError: the reason is not a str.
            ValueError: `until` is not a time, or is past.
            LedgerError: the ledger does not work.
        """
        check_reason(reason)  # here, because a daemon that starts later cannot tell the caller
        until_ns = parse_instant_ns("until", until) if until is not None else None
        if until_ns is not None and until_ns <= SystemClock.wall_ns():
            raise ValueError(f"until {rfc3339(until_ns)} is past: leave it out to pause without an end")
        return self._ask("pause", {"jobs": [job], "until_ns": until_ns, "reason": reason}) is not None

    def resume(self, job: str) -> bool:
        """
        Start a paused job by its schedule again, as `tminus resume` does.

        Args:
            job: Its name.

        Returns:
            True if the job is no longer paused. False if no daemon runs, or it has not answered within 5 s:
            then the pause ends when a daemon takes the request.

        Raises:
            UsageError: there is no such job.
            LedgerError: the ledger does not work.
        """
        return self._ask("resume", {"jobs": [job]}) is not None

    def _ask(self, kind: str, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return operator.ask(kind, body, by=f"application {application.app_name(self)}")

    def job(self, name: str | None = None, **options: Unpack[JobOptions]) -> Callable[[_Function], _Function]:
        """
        Define a job that calls the decorated function. If the function is a view, the job sends it a request.

        Args:
            name: The name of the job; None for that of the function.
            options: The keys listed in python-jobs.md. The keys of `schedule` (`cron`, `every`, `at`,
                `timezone`) and those of `call` (`args`, `kwargs`, `request`, `isolate`) are options
                themselves. `then` may contain functions. For a view, `request` is what stands below `flask`
                in the file, and `args` are the values of its URL.

        Returns:
            A decorator that returns the function unchanged.

        Raises:
            TypeError: an option, or a key of `retry`, is unknown, or the value of an option is not JSON.
                `schedule` is given together with `cron`, `every`, `at` or `timezone`. A function in `then` is
                not at the top level of a module. Or what is decorated is not a function. Every other error is
                reported with the errors of the jobs file, at the place of the function.
        """
        if callable(name):
            raise TypeError("write @scheduler.job(), with brackets")
        keys, target = split_options(options)

        def define(function: _Function) -> _Function:
            code = getattr(inspect.unwrap(function), "__code__", None)
            if code is None:
                raise TypeError(f"@scheduler.job needs a function, not {function!r}")
            defined = registry.DefinedJob(
                function=function,
                name=name or function.__name__,
                keys=keys,
                target=target,
                file=code.co_filename,
                line=code.co_firstlineno,
            )
            self._registry.defined.append(defined)
            return function

        return define
