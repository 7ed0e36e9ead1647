"""
A function with its own application and request context. Both are pushed before T, and popped whatever
happens.
"""

import inspect
import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from tminus.executors.python import contexts, payload_objects
from tminus.executors.python.loading import CannotLoad, NotInCode, kind_of
from tminus.executors.python.wire import Work
from tminus.executors.python.work_result import UnusableResult, WorkResult
from tminus.model import payload
from tminus.outcome import Cause

if TYPE_CHECKING:
    from asyncio import Runner

    from flask import Flask


class PreparedCall:
    """
    One call of a function. All its methods belong to one thread, because contexts belong to a thread.

    Raises:
        CannotLoad: it is not a function.
        NotInCode: it takes other arguments.
    """

    def __init__(self, work: Work, ref: str, function: Any, app: "Flask | None") -> None:
        self._given = None if work.given is None else payload_objects.from_payload(json.loads(work.given))
        args, kwargs = json.loads(work.arguments)
        args = args if work.given is None else [self._given, *args]
        function = checked(function, ref, args, kwargs)
        self._function: Callable[[], Any] = lambda: function(*args, **kwargs)
        self._gives_back = work.given is not None
        self._max_body = work.max_body
        self._ref = ref
        # A decorator, such as @background, may hide that the function is async.
        is_async = inspect.iscoroutinefunction(inspect.unwrap(function))
        self._loop = _new_loop() if is_async else None
        self._context = contexts.request_context(app, work.request) if app else None
        if self._context:
            self._context.push()
            contexts.restore_session(work.request)

    def enter(self) -> Any:
        """Call the function; return its result."""
        result = self._function()
        if self._loop and inspect.iscoroutine(result):
            result = self._loop.run(result, context=copy_context())
        return result

    def encode_result(self, result: Any) -> WorkResult:
        """Return the result as JSON."""
        return WorkResult(
            body=self._as_json(
                payload_objects.to_payload(self._given_back(result)) if self._gives_back else result
            )
        )

    def tear_down(self, error: BaseException | None) -> None:
        """
        Tell the application of the error, as Flask does for a view, and pop the contexts, which runs the
        teardown functions of the application.
        """
        try:
            if self._context and isinstance(error, Exception):
                _send_signal(self._context.app, error)
            if self._loop:
                self._loop.close()
        finally:
            if self._context:
                self._context.pop(error)

    def _given_back(self, result: Any) -> Any:
        """Return the result of the function, or the request that it has changed in place."""
        if not isinstance(self._given, payload_objects.Request):
            return result
        if result is not None and result is not self._given:
            words = (
                f"{self._ref} returned {kind_of(result)}; it is to change the request that it gets, and "
                "to return nothing"
            )
            raise UnusableResult(Cause.RESULT, words)
        return self._given

    def _as_json(self, result: Any) -> bytes:
        try:
            body = payload.dumps(result, ensure_ascii=False).encode()
        except (TypeError, ValueError) as error:
            raise UnusableResult(Cause.RESULT, f"what {self._ref} returned is not JSON: {error}") from None
        if len(body) > self._max_body:
            raise UnusableResult(
                Cause.TOO_LARGE, f"what {self._ref} returned is longer than {self._max_body} bytes as JSON"
            )
        return body


def _send_signal(app: "Flask", error: Exception) -> None:
    """Send `got_request_exception`, by which extensions such as Sentry's learn of errors."""
    from flask import got_request_exception

    try:
        got_request_exception.send(app, _async_wrapper=app.ensure_sync, exception=error)
    except Exception as raised:  # noqa: BLE001  of a receiver: the result of the function stays as it is
        traceback.print_exception(raised)


def _new_loop() -> "Runner":
    from asyncio import Runner  # slow to import, and hardly ever needed

    loop = Runner()
    loop.get_loop()  # creates it now, not at T
    return loop


def checked(function: Any, ref: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Callable[..., Any]:
    """
    Return an object of `module:name`, if it is a function that takes these arguments.

    Raises:
        CannotLoad: it is not a function.
        NotInCode: it takes other arguments.
    """
    if not callable(function):
        raise CannotLoad(f"{ref} is {kind_of(function)}, not a function")
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError as error:
        raise NotInCode(f"{ref} cannot be called with these arguments: {error}") from None
    except ValueError:  # a function in C may have no signature
        pass
    found: Callable[..., Any] = function
    return found
