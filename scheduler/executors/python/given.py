"""
What a function is given that follows a run: the run's result, its answer, or its failure; and what it gives back.

It crosses the pipe as JSON with one key that says which of them it is: `{"result": …}`, `{"answer": …}`, `{"failure": …}`.
"""

import json
from collections.abc import Callable, Mapping
from email.message import Message
from typing import Any


class Answer:
    """
    What a server or a view answered.

    Attributes:
        status: Its HTTP status.
        headers: By name, upper or lower case; `get_all` for those that stand there more than once.
        text: The body, decoded.
    """

    def __init__(self, status: int, headers: list[str], text: str) -> None:
        self.status = status
        self.headers = Message()
        for line in headers:
            name, _, value = line.partition(":")
            self.headers[name] = value.strip()
        self.text = text

    def __repr__(self) -> str:
        return f"<Answer {self.status}>"

    def json(self) -> Any:
        """
        The body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.text)


class Failure(Exception):
    """
    Why a run, or a link before this one, gave no result. Raised or returned it goes on down the chain as it is.

    Attributes:
        outcome: The run's: failed, timed_out, missed or unknown; `failed` where a link raised.
        kind: The cause in a word: `status`, `timeout`, `exception`, …
        message: For people; the same as `str()` of it.
        traceback: The frames of the code that raised, where it did.
    """

    def __init__(self, outcome: str, kind: str, message: str, traceback: str | None = None) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.kind = kind
        self.message = message
        self.traceback = traceback


def object_of(given: Mapping[str, Any]) -> Any:
    """What a function gets."""
    ((kind, value),) = given.items()
    return _OBJECTS[kind](value)


def json_of(given_back: Any) -> dict[str, Any]:
    """What a function gives back, to be given to the next one."""
    if isinstance(given_back, Failure):
        # A class of somebody's own may have made these into anything, or left them out.
        built_in = {"outcome": "failed", "kind": "exception", "message": given_back}
        said = {name: _text(getattr(given_back, name, value)) for name, value in built_in.items()}
        frames = getattr(given_back, "traceback", None)
        return {"failure": {**said, "traceback": frames if frames is None else _text(frames)}}
    if isinstance(given_back, Answer):
        headers = [f"{name}: {value}" for name, value in given_back.headers.items()]
        return {"answer": {"status": given_back.status, "headers": headers, "text": str(given_back.text)}}
    return {"result": given_back}


def _text(said: Any) -> str:
    try:
        return str(said)[:_LONGEST]
    except Exception:  # noqa: BLE001  it is somebody's own, too
        return type(said).__name__


#: Of a field, in characters: four of them are to stay shorter than any body.
_LONGEST = 1 << 18
_OBJECTS: dict[str, Callable[[Any], Any]] = {
    "result": lambda value: value,
    "answer": lambda value: Answer(**value),
    "failure": lambda value: Failure(**value),
}
