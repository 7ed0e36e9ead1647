"""A view of the application, through its whole WSGI stack: the environ is built before T, the app is called at T."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from scheduler.executors.python import contexts
from scheduler.executors.python.answer import Answer, Unfit
from scheduler.executors.python.wire import Work
from scheduler.outcome import Cause

if TYPE_CHECKING:
    from flask import Flask

_MOST_HEADERS = 1 << 18


class View:
    """
    One call of the application.

    Raises:
        CannotLoad: there is no such endpoint.
    """

    def __init__(self, work: Work, app: "Flask") -> None:
        self._app = app
        self._max_body = work.max_body
        context = contexts.around(app, work.request)
        self._environ = context.request.environ
        context.match_request()  # what a router makes up on its first match is made up now

    def enter(self) -> Answer:
        """Call the application, and read what it answers."""
        self._environ.pop("werkzeug.request", None)
        head: list[Any] = []
        body = bytearray()

        def write(chunk: bytes) -> None:
            body.extend(chunk)
            if len(body) > self._max_body:
                raise Unfit(Cause.TOO_LARGE, f"the answer is longer than max_body, {self._max_body} bytes")

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            head[:] = [status, headers]
            return write

        chunks: Iterable[bytes] = self._app(self._environ, start_response)
        try:
            for chunk in chunks:
                write(chunk)
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        status, headers = head
        lines = [f"{name}: {value}" for name, value in headers]
        if sum(map(len, lines)) > _MOST_HEADERS:
            raise Unfit(Cause.TOO_LARGE, f"the headers are longer than {_MOST_HEADERS} bytes")
        return Answer(status=int(status.split(" ", 1)[0]), headers=lines, body=bytes(body))

    def answer(self, result: Answer) -> Answer:
        """It has been read already."""
        return result

    def leave(self, error: BaseException | None) -> None:
        """The application pops its own contexts."""
