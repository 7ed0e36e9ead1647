"""A proxy that terminates TLS and removes a prefix, as one stands in front of most web servers."""

import ssl
import threading
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.moments import PATIENCE_S

#: Of one connection alone, or written by the proxy itself.
_NOT_FORWARDED = {
    "connection",
    "keep-alive",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "content-length",
    "host",
}


class TlsProxy(ThreadingHTTPServer):
    """
    A proxy on loopback, until the `with` block ends. A request that the web server breaks off gets status 502.

    Args:
        tls: The context of the server.
        prefix: The beginning of all paths, such as `/blog`. The web server gets them without it.

    Attributes:
        upstream: `HOST:PORT` of the web server.
        broken: How many requests the web server has broken off.
    """

    daemon_threads = False  # so that the end waits for all requests

    def __init__(self, tls: ssl.SSLContext, prefix: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        # Each connection is encrypted on its own thread, when it is first read from.
        self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.prefix = prefix
        self.upstream = ""
        self.broken = 0
        self._thread = threading.Thread(target=self.serve_forever, name="tls-proxy")

    def __enter__(self) -> "TlsProxy":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def url(self, host: str = "localhost") -> str:
        """Return the URL of the web server's root, without a slash at its end."""
        return f"https://{host}:{self.server_port}{self.prefix}"


class _Handler(BaseHTTPRequestHandler):
    server: TlsProxy

    def do_GET(self) -> None:
        self._forward()

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""

    def _forward(self) -> None:
        prefix = self.server.prefix
        if not self.path.startswith(f"{prefix}/"):
            self.send_error(404)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        upstream = HTTPConnection(self.server.upstream, timeout=PATIENCE_S)
        try:
            upstream.request(self.command, self.path.removeprefix(prefix), body, self._headers())
            response = upstream.getresponse()
            content = response.read()
        except (OSError, HTTPException):
            self.server.broken += 1
            self.send_error(502)
            return
        finally:
            upstream.close()
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in _NOT_FORWARDED:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _headers(self) -> dict[str, str]:
        """Return the headers for the web server. A visitor's own `X-Forwarded-…` are dropped."""
        kept = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in _NOT_FORWARDED and not name.lower().startswith("x-forwarded-")
        }
        return kept | {
            "X-Forwarded-For": self.client_address[0],
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": self.headers["Host"],
            "X-Forwarded-Prefix": self.server.prefix,
        }
