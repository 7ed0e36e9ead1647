"""The result of a piece of work."""

from collections.abc import Sequence
from dataclasses import dataclass

from tminus.outcome import Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkResult:
    """
    The result of a piece of work, encoded.

    Attributes:
        status: The status of a view's response; 0 for a function.
        body: The body of a view's response, or a function's result as JSON.
    """

    status: int = 0
    headers: Sequence[str] = ()
    body: bytes = b""


class UnusableResult(Exception):
    """The work has ended, but its result cannot be used."""

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause
