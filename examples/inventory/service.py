"""
The service that the jobs call: `python service.py [PORT]`. A response takes 20 ms, and some items fail.

`/stock/ITEM/WAREHOUSE` returns `{"count": …}`. Items whose number ends in 7 get a 503 at warehouse 13. Item
100 gets a response that is not JSON at warehouse 1. `/calls` returns all calls: item, warehouse, occurrence,
port of the connection.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_SLOW_S = 0.02
_calls: list[tuple[int, int, str, int]] = []


class Service(ThreadingHTTPServer):
    """A server with one thread per connection, and room for a hundred connections at once."""

    request_queue_size = 256
    daemon_threads = True


class Warehouses(BaseHTTPRequestHandler):
    """One connection, kept open between calls."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # send head and body together
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer one call."""
        if self.path == "/calls":
            self._answer(200, json.dumps(_calls))
            return
        item, warehouse = (int(part) for part in self.path.split("/")[2:])
        _calls.append((item, warehouse, self.headers["X-Occurrence"], self.client_address[1]))
        threading.Event().wait(_SLOW_S)
        if item % 10 == 7 and warehouse == 13:
            self._answer(503, "")
        elif item == 100 and warehouse == 1:
            self._answer(200, "<p>sorry</p>")
        else:
            self._answer(200, json.dumps({"count": item * warehouse}))

    def log_message(self, format: str, *_arguments: object) -> None:
        """Log nothing: there would be two thousand lines."""

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = Service(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8077), Warehouses)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
