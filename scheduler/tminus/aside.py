"""Calls of functions that may hang: on a thread of their own, for which neither caller nor process waits."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

Result = TypeVar("Result")


def aside(do: Callable[[], Result], *, name: str) -> "Future[Result]":
    """
    Call a function on a thread of its own; return a future of its result.

    Raises:
        RuntimeError: no thread can be started.
    """
    future = Future[Result]()

    def run() -> None:
        try:
            future.set_result(do())
        except BaseException as error:  # noqa: BLE001  the future raises it
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


def is_done(future: "Future[Any]", timeout_s: float) -> bool:
    """Wait at most this long; return whether there is a result or an exception."""
    return bool(wait([future], timeout_s).done)
