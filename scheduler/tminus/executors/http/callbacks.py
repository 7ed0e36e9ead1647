"""Callbacks for libcurl. They cannot raise, because PycURL would print the exception and continue."""

from collections.abc import Callable
from typing import Any, TypeVar

_Value = TypeVar("_Value")


class Callbacks:
    """Keeps what the callbacks of one transfer raise, until it can be reported."""

    __slots__ = ("_error",)

    def __init__(self) -> None:
        self._error: Exception | None = None

    def guard(self, callback: Callable[..., _Value], *, failed: _Value) -> Callable[..., _Value]:
        """Return the callback, guarded: if it raises, libcurl gets `failed` and ends the transfer."""

        def call(*arguments: Any) -> _Value:
            try:
                return callback(*arguments)
            except Exception as error:  # noqa: BLE001  `reraise` raises it
                self._error = error
                return failed

        return call

    def reraise(self) -> None:
        """
        Raise what a callback has raised, if any has.

        Raises:
            Exception: from a callback.
        """
        if self._error is not None:
            raise self._error
