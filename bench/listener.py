"""A server of the bench's own, on a thread, that prints nothing."""

import contextlib
import http.server
import threading
from collections.abc import Iterator


class QuietHandler(http.server.BaseHTTPRequestHandler):
    """The base of a handler."""

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextlib.contextmanager
def serving(server: http.server.HTTPServer, name: str) -> Iterator[None]:
    """Serve within the block, on a thread of this name; then close the server."""
    thread = threading.Thread(target=server.serve_forever, name=name)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
