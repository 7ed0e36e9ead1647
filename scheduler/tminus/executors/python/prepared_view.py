"""
A view of the application, called through its whole WSGI stack. The environ is built before T, and the
application is called at T.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tminus.executors.python import contexts
from tminus.executors.python.wire import Work
from tminus.executors.python.work_result import UnusableResult, WorkResult
from tminus.outcome import Cause

if TYPE_CHECKING:
    from flask import Flask

_MOST_HEADERS = 1 << 18


class PreparedView:
    """
    One call of the application.

    Raises:
        CannotLoad: there is no such endpoint; or the work has a session, and the application has none.
    """

    def __init__(self, work: Work, app: "Flask") -> None:
        self._app = app
        self._max_body = work.max_body
        context = contexts.request_context(app, work.request)
        self._environ = context.request.environ
        if work.request.session:
            self._environ["HTTP_COOKIE"] = contexts.session_cookie(app, work.request)
        context.match_request()  # a router builds its tables on the first match: now, not at T

    def enter(self) -> WorkResult:
        """Call the application; return its response, which is read to its end."""
        self._environ.pop("werkzeug.request", None)
        head: list[Any] = []
        body = bytearray()

        def write(chunk: bytes) -> None:
            body.extend(chunk)
            if len(body) > self._max_body:
                raise UnusableResult(
                    Cause.TOO_LARGE, f"the answer is longer than max_body, {self._max_body} bytes"
                )

        def start_response(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> Callable[[bytes], object]:
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
            raise UnusableResult(Cause.TOO_LARGE, f"the headers are longer than {_MOST_HEADERS} bytes")
        return WorkResult(status=int(status.split(" ", 1)[0]), headers=lines, body=bytes(body))

    def encode_result(self, result: WorkResult) -> WorkResult:
        """Return the result, which is encoded already."""
        return result

    def tear_down(self, error: BaseException | None) -> None:
        """Do nothing: the application pops its own contexts."""
