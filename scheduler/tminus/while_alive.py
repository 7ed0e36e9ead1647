"""Callbacks that do not keep their object alive."""

from collections.abc import Callable
from typing import ParamSpec
from weakref import WeakMethod

P = ParamSpec("P")


def while_alive(method: Callable[P, None]) -> Callable[P, None]:
    """
    Return a callback that calls this bound method as long as its object exists, and then does nothing.

    An object that gives its own method to one of its parts would be a cycle, and would stay in memory until
    the garbage collector looks at all objects.
    """
    reference = WeakMethod(method)

    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        if (alive := reference()) is not None:
            alive(*args, **kwargs)

    return call
