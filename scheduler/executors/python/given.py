"""
What a function is given: the result, the answer or the failure of the run that it follows, or the request that it prepares;
and what it gives back.

It crosses the pipe as JSON with one key that says which of them it is: `{"result": …}`, `{"answer": …}`, `{"failure": …}`,
`{"request": …}`.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from email.message import Message
from typing import Any

from scheduler.executors.python import texts

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_BREAKS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


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


class Headers(MutableMapping[str, str]):
    """
    By name, upper or lower case; a name stands there once. `repr` shows no value.

    What no header can be is refused where it is set, so that the traceback names the line.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = {name.lower(): (name, value) for name, value in pairs}

    def __getitem__(self, name: str) -> str:
        return self._pairs[name.lower()][1]

    def __setitem__(self, name: str, value: str) -> None:
        if not _TOKEN.fullmatch(_text(name, "the name of a header")):
            raise ValueError("the name of a header has letters, digits and - only")
        if _BREAKS.search(_text(value, f"the header {name}")):
            raise ValueError(f"there is a line break, or another control character, in the header {name}")
        self._pairs[name.lower()] = name, value

    def __delitem__(self, name: str) -> None:
        del self._pairs[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._pairs.values()])

    def __len__(self) -> int:
        return len(self._pairs)

    def __repr__(self) -> str:
        return f"<Headers {', '.join(self)}>"


class Request:
    """
    The request of an `http` job, to be changed before it goes out. `repr` shows neither its URL nor its headers nor its body.
    """

    __slots__ = ("_body", "_headers", "_method", "_url")  # a name that is mistyped is an error, not a change that nobody sees

    def __init__(self, method: str, url: str, headers: Iterable[tuple[str, str]], body: str | None) -> None:
        self._method = method
        self._url = url
        self._headers = Headers((name, value) for name, value in headers)
        self._body = None if body is None else b64decode(body)

    def __repr__(self) -> str:
        return f"<Request {self._method}>"

    @property
    def method(self) -> str:
        """It stays as it is."""
        return self._method

    @property
    def url(self) -> str:
        """Of http or https, with its query."""
        return self._url

    @url.setter
    def url(self, url: str) -> None:
        self._url = _text(url, "url")

    @property
    def headers(self) -> Headers:
        """All of them, but for those that follow from URL and body."""
        return self._headers

    @headers.setter
    def headers(self, headers: Mapping[str, str]) -> None:
        self._headers = Headers(())
        self._headers.update(headers)

    @property
    def body(self) -> bytes | None:
        """None where there is none. A text is sent as UTF-8."""
        return self._body

    @body.setter
    def body(self, body: bytes | bytearray | str | None) -> None:
        if not isinstance(body, bytes | bytearray | str | None):
            raise TypeError(f"body must be bytes, a str or None, not {type(body).__name__}")
        self._body = body.encode() if isinstance(body, str) else None if body is None else bytes(body)


def object_of(given: Mapping[str, Any]) -> Any:
    """What a function gets."""
    ((kind, value),) = given.items()
    return _OBJECTS[kind](value)


def json_of(given_back: Any) -> dict[str, Any]:
    """What a function gives back, to be given to the next one."""
    if isinstance(given_back, Failure):
        # A class of somebody's own may have made these into anything, or left them out.
        built_in = {"outcome": "failed", "kind": "exception", "message": given_back}
        said = {name: _words(given_back, name, value) for name, value in built_in.items()}
        has_frames = texts.said(lambda: "" if getattr(given_back, "traceback", None) is None else "yes", "")
        return {"failure": {**said, "traceback": _words(given_back, "traceback", "") if has_frames else None}}
    if isinstance(given_back, Answer):
        headers = [f"{name}: {value}" for name, value in given_back.headers.items()]
        return {"answer": {"status": given_back.status, "headers": headers, "text": str(given_back.text)}}
    if isinstance(given_back, Request):
        body = None if given_back.body is None else b64encode(given_back.body).decode()
        return {"request": {"url": given_back.url, "headers": list(given_back.headers.items()), "body": body}}
    return {"result": given_back}


def _words(failure: Failure, name: str, otherwise: object) -> str:
    most = texts.MOST_FRAMES if name == "traceback" else _LONGEST
    return texts.said(lambda: str(getattr(failure, name, otherwise)), type(failure).__name__, most)


#: Of a field, in characters: with the traceback, and each as six in JSON, they are short enough to flow down a chain.
_LONGEST = 1 << 14
_OBJECTS: dict[str, Callable[[Any], Any]] = {
    "result": lambda value: value,
    "answer": lambda value: Answer(**value),
    "failure": lambda value: Failure(**value),
    "request": lambda value: Request(**value),
}


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    value.encode()  # half a character cannot be sent
    return value
