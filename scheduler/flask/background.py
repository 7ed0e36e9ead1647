"""`@background`: a function that a view hands over and does not wait for."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, overload

from scheduler.executors.python import declared
from scheduler.flask import handover
from scheduler.flask.handover import Run
from scheduler.flask.words import chain, ref_of, span_ns
from scheduler.instants import parse_rfc3339, to_ns
from scheduler.model import payload
from scheduler.model.background import Work

P = ParamSpec("P")
R = TypeVar("R")

_OURS = ("delay", "at")


class Background(Generic[P, R]):
    """
    A function that may be called as ever, or handed over by `submit`. Thread-safe.

    Raises:
        TypeError: it cannot be found by its name, or has an argument that is called as one of ours.
    """

    def __init__(self, function: Callable[P, R], options: Mapping[str, Any]) -> None:
        update_wrapper(self, function)
        self._function = function
        self._options = options
        self._signature = inspect.signature(function)
        name, ref = function.__qualname__, ref_of(function)
        if ref is None:
            raise TypeError(f"@background: {name} cannot be found by its name; it must stand in a module")
        if own := [word for word in _OURS if word in self._signature.parameters]:
            raise TypeError(f"@background: {name} has an argument {own[0]!r}, which is submit's own")
        self.ref = ref
        declared.declare(ref, options.get("then", []))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call it here and now."""
        return self._function(*args, **kwargs)

    @overload
    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Run: ...
    @overload
    def submit(self, *args: Any, delay: str | float, **kwargs: Any) -> Run: ...
    @overload
    def submit(self, *args: Any, at: str | datetime, **kwargs: Any) -> Run: ...
    def submit(self, *args: Any, **kwargs: Any) -> Run:
        """
        Hand a call over, with a copy of the current request where there is one. It is durable when this returns.

        Args:
            args, kwargs: The function's own; JSON.
            delay: Not before so long from now: `15s`, or seconds.
            at: Not before then: RFC 3339, or a datetime with a zone.

        Returns:
            What the call is known by.

        Raises:
            TypeError: arguments that the function does not take, or that are not JSON of at most 100 levels; uploaded files that
                are not saved.
            ValueError: no such time; arguments, or a request, longer than 1 MiB as JSON.
            TminusError: it could not be written down, or nobody knows whose application this is. Then it does not run.
        """
        planned_at_ns = _planned_at_ns(kwargs.pop("delay", None), kwargs.pop("at", None))
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.ref}: {error}") from None
        given = {"args": list(args), "kwargs": kwargs}
        try:
            given = json.loads(payload.dumps(given, most_bytes=payload.MOST_BYTES))
        except TypeError as error:
            raise TypeError(f"{self.ref}: the arguments are not JSON: {error}") from None
        except ValueError as error:
            raise ValueError(f"{self.ref}: the arguments are {error}: store them, and hand over where they are") from None
        return handover.submit(
            lambda app, request: Work(
                app=app,
                ref=self.ref,
                options=self._options,
                given=given if request is None else {**given, "request": request},
                planned_at_ns=planned_at_ns,
            )
        )


@overload
def background(function: Callable[P, R], /) -> Background[P, R]: ...
@overload
def background(
    *, timeout: str | float | None = None, then: Sequence[Any] | Mapping[str, Any] | Callable[..., Any] = ()
) -> Callable[[Callable[P, R]], Background[P, R]]: ...
def background(
    function: Callable[..., Any] | None = None,
    /,
    *,
    timeout: str | float | None = None,
    then: Sequence[Any] | Mapping[str, Any] | Callable[..., Any] = (),
) -> Any:
    """
    Make a function one that can be handed over: `@background`, or `@background(timeout="5m", then=[…])`.

    It runs in its application's runner, at least once: one of which nobody can say how far it came is called again, three times
    at most. What it returns must be JSON.

    Args:
        timeout: It is told to stop after that, and written off; none is built in.
        then: What follows, as in the jobs file; a function may stand for its name.

    Raises:
        TypeError: the function cannot be found by its name.
        ValueError: no such duration.
    """
    options: dict[str, Any] = {}
    if timeout is not None:
        options["timeout_ns"] = span_ns("timeout", timeout)
    if then:
        options["then"] = chain(then)
    if function is not None:
        return Background(function, options)
    return lambda function: Background(function, options)


def _planned_at_ns(delay: str | float | None, at: str | datetime | None) -> int | None:
    if delay is not None and at is not None:
        raise TypeError("give delay or at, not both")
    if delay is not None:
        return handover.now_ns() + span_ns("delay", delay)
    if isinstance(at, datetime):
        if at.tzinfo is None:
            raise ValueError(f"at must say its zone; got {at.isoformat()}")
        return to_ns(at)
    return parse_rfc3339(at) if at is not None else None
