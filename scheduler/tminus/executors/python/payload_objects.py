"""
The first argument of a function, and its result: the result, response or failure of the run that the
function follows, or the request that it prepares.

As payload it is JSON with one key: `{"result": …}`, `{"answer": …}`, `{"failure": …}` or `{"request": …}`.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from email.message import Message
from typing import Any

from tminus.executors.python import texts
from tminus.http_rules.syntax import has_control_character, is_header_name


class Answer:
    """
    The response of a server or a view, as the functions of a chain get it.

    Attributes:
        status: The HTTP status.
        headers: The headers by name, in any case; `headers.get_all(name)` returns repeated ones.
        text: The decoded body.
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
        Return the body, parsed as JSON.

        Raises:
            ValueError: the body is not JSON.
        """
        return json.loads(self.text)


class Failure(Exception):
    """
    Why a run, or an earlier link of a chain, has no result. A link that raises or returns it passes it on
    unchanged.

    Attributes:
        outcome: The outcome of the run: failed, timed_out, missed, unknown, or cancelled while it ran. If a
            link raised: failed.
        kind: The cause in one word: `status`, `timeout`, `exception`, …
        message: The cause for people, the same as `str(failure)`.
        traceback: The frames of the code that raised, if it raised.
    """

    def __init__(self, outcome: str, kind: str, message: str, traceback: str | None = None) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.kind = kind
        self.message = message
        self.traceback = traceback


class Headers(MutableMapping[str, str]):
    """
    Headers by name, in any case; each name occurs once. `repr` shows no values.

    An invalid header is refused when it is set, so that the traceback shows that line.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = {name.lower(): (name, value) for name, value in pairs}

    def __getitem__(self, name: str) -> str:
        return self._pairs[name.lower()][1]

    def __setitem__(self, name: str, value: str) -> None:
        if not is_header_name(_text(name, "the name of a header")):
            raise ValueError("the name of a header has letters, digits and - only")
        if has_control_character(_text(value, f"the header {name}")):
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
    The request of an `http` job. Its `prepare` function may change it before it is sent. `repr` shows neither
    URL, headers nor body.
    """

    __slots__ = (
        "_body",
        "_headers",
        "_method",
        "_url",
    )  # a name that is mistyped is an error, not a change that nobody sees

    def __init__(self, method: str, url: str, headers: Iterable[tuple[str, str]], body: str | None) -> None:
        self._method = method
        self._url = url
        self._headers = Headers((name, value) for name, value in headers)
        self._body = None if body is None else b64decode(body)

    def __repr__(self) -> str:
        return f"<Request {self._method}>"

    @property
    def method(self) -> str:
        """The method. It cannot be changed."""
        return self._method

    @property
    def url(self) -> str:
        """The URL with its query, http or https."""
        return self._url

    @url.setter
    def url(self, url: str) -> None:
        self._url = _text(url, "url")

    @property
    def headers(self) -> Headers:
        """All headers, except those that follow from URL and body."""
        return self._headers

    @headers.setter
    def headers(self, headers: Mapping[str, str]) -> None:
        replacement = Headers(())
        replacement.update(headers)
        self._headers = replacement

    @property
    def body(self) -> bytes | None:
        """The body; None if there is none. A str is sent as UTF-8."""
        return self._body

    @body.setter
    def body(self, body: bytes | bytearray | str | None) -> None:
        if not isinstance(body, bytes | bytearray | str | None):
            raise TypeError(f"body must be bytes, a str or None, not {type(body).__name__}")
        self._body = body.encode() if isinstance(body, str) else None if body is None else bytes(body)


def from_payload(given: Mapping[str, Any]) -> Any:
    """Return the argument for a function."""
    ((kind, value),) = given.items()
    return _OBJECTS[kind](value)


def to_payload(returned: Any) -> dict[str, Any]:
    """Return the payload of a function's result, for the next function."""
    if isinstance(returned, Failure):
        # A subclass may have set these to anything, or not at all.
        built_in = {"outcome": "failed", "kind": "exception", "message": returned}
        said = {name: _words(returned, name, value) for name, value in built_in.items()}
        # Empty if there is no traceback, or if a subclass raises when it is read.
        has_frames = texts.user_text(
            lambda: "" if getattr(returned, "traceback", None) is None else "yes", ""
        )
        return {"failure": {**said, "traceback": _words(returned, "traceback", "") if has_frames else None}}
    if isinstance(returned, Answer):
        headers = [f"{name}: {value}" for name, value in returned.headers.items()]
        return {"answer": {"status": returned.status, "headers": headers, "text": str(returned.text)}}
    if isinstance(returned, Request):
        body = None if returned.body is None else b64encode(returned.body).decode()
        return {
            "request": {
                "url": returned.url,
                "headers": list(returned.headers.items()),
                "body": body,
            }
        }
    return {"result": returned}


def _words(failure: Failure, name: str, otherwise: object) -> str:
    most = texts.MOST_FRAMES if name == "traceback" else _LONGEST
    return texts.user_text(lambda: str(getattr(failure, name, otherwise)), type(failure).__name__, most)


#: Characters of a field. With the traceback, and with six bytes per character in JSON, a failure is short
#: enough for a chain.
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
