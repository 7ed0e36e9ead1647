"""Work on a thread of its own, which does not keep the process from ending: whoever asked need not wait for what may hang."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

Result = TypeVar("Result")


def aside(do: Callable[[], Result], *, name: str) -> "Future[Result]":
    """
    Do this on a thread of its own.

    Raises:
        RuntimeError: no thread can be started.
    """
    future = Future[Result]()

    def run() -> None:
        try:
            future.set_result(do())
        except BaseException as error:  # noqa: BLE001  it is raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


def is_done(future: "Future[Any]", timeout_s: float) -> bool:
    """Wait at most this long; return whether there is a result, or an exception."""
    return bool(wait([future], timeout_s).done)
