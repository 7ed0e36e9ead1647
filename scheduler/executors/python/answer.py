"""What came of a piece of work."""

from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.outcome import Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    Attributes:
        status: Of a view; 0 for a function.
        body: Of a view's answer; a function's result as JSON.
    """

    status: int = 0
    headers: Sequence[str] = ()
    body: bytes = b""


class Unfit(Exception):
    """It came to its end, but what it gave cannot be used."""

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause
