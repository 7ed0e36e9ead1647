"""A function, with a fresh application and request context around it: both are pushed before T and popped whatever happens."""

import asyncio
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from scheduler.executors.python import contexts, given
from scheduler.executors.python.answer import Answer, Unfit
from scheduler.executors.python.loading import CannotLoad, kind_of
from scheduler.executors.python.wire import Work
from scheduler.model import payload
from scheduler.outcome import Cause

if TYPE_CHECKING:
    from flask import Flask


class Call:
    """
    One call of a function; all its methods belong to one thread, whose contexts these are.

    Raises:
        CannotLoad: it is no function, or wants other arguments.
    """

    def __init__(self, work: Work, ref: str, function: Any, app: "Flask | None") -> None:
        self._given = None if work.given is None else given.object_of(json.loads(work.given))
        args, kwargs = json.loads(work.arguments)
        args = args if work.given is None else [self._given, *args]
        function = checked(function, ref, args, kwargs)
        self._function: Callable[[], Any] = lambda: function(*args, **kwargs)
        self._gives_back = work.given is not None
        self._max_body = work.max_body
        self._ref = ref
        self._loop: asyncio.Runner | None = None
        if inspect.iscoroutinefunction(function):
            self._loop = asyncio.Runner()
            self._loop.get_loop()  # made now, not at T
        self._context = contexts.around(app, work.request) if app else None
        if self._context:
            self._context.push()
            contexts.restore_session(work.request)

    def enter(self) -> Any:
        """Call it."""
        result = self._function()
        if self._loop:
            result = self._loop.run(result, context=copy_context())
        return result

    def answer(self, result: Any) -> Answer:
        """Its result as JSON."""
        return Answer(body=self._as_json(given.json_of(self._given_back(result)) if self._gives_back else result))

    def leave(self, error: BaseException | None) -> None:
        """Pop the contexts: what the application tears down, it tears down now."""
        try:
            if self._loop:
                self._loop.close()
        finally:
            if self._context:
                self._context.pop(error)

    def _given_back(self, result: Any) -> Any:
        """What it returned; but a request is changed in place."""
        if not isinstance(self._given, given.Request):
            return result
        if result is not None and result is not self._given:
            words = f"{self._ref} returned {kind_of(result)}; it is to change the request that it gets, and to return nothing"
            raise Unfit(Cause.RESULT, words)
        return self._given

    def _as_json(self, result: Any) -> bytes:
        try:
            body = payload.dumps(result, ensure_ascii=False).encode()
        except (TypeError, ValueError) as error:
            raise Unfit(Cause.RESULT, f"what {self._ref} returned is not JSON: {error}") from None
        if len(body) > self._max_body:
            raise Unfit(Cause.TOO_LARGE, f"what {self._ref} returned is longer than {self._max_body} bytes as JSON")
        return body


def checked(function: Any, ref: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Callable[..., Any]:
    """
    What `module:name` names, if it is a function that may be called so.

    Raises:
        CannotLoad: it is none, or wants other arguments.
    """
    if not callable(function):
        raise CannotLoad(f"{ref} is {kind_of(function)}, not a function")
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError as error:
        raise CannotLoad(f"{ref} cannot be called so: {error}") from None
    except ValueError:  # one written in C tells no signature
        pass
    found: Callable[..., Any] = function
    return found
