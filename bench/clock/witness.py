"""A target that notes what arrives, by the clock of the daemon, and how much of it at once."""

import http.server
import threading
import time
from collections import Counter
from contextlib import AbstractContextManager
from typing import NamedTuple

from bench.clock.wall import Wall
from bench.listener import QuietHandler, serving
from bench.waiting import pause


class Arrival(NamedTuple):
    """A request: its occurrence, and its arrival by the clock of the daemon and by the monotonic clock."""

    occurrence: str
    at_ns: int
    monotonic_ns: int


class Witness:
    """
    Args:
        wall: The clock of the daemon.
        takes_s: The time until each response.

    Attributes:
        arrivals: The requests that have arrived.
        most_at_once: The most requests that waited for their responses at one moment.
    """

    def __init__(self, wall: Wall, *, takes_s: float) -> None:
        self.arrivals: list[Arrival] = []
        self.most_at_once = 0
        self._open = 0
        self._lock = threading.Lock()
        witness = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                with witness._lock:
                    occurrence = self.headers["X-Tminus-Occurrence"]
                    witness.arrivals.append(Arrival(occurrence, wall.now_ns(), time.monotonic_ns()))
                    witness._open += 1
                    witness.most_at_once = max(witness.most_at_once, witness._open)
                pause(takes_s)
                with witness._lock:
                    witness._open -= 1
                self.send_response(204)
                self.end_headers()

        class Target(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 1024

            def handle_error(self, *_: object) -> None:
                """Print nothing: a daemon that is killed closes its connections."""

        self._server = Target(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def serve(self) -> AbstractContextManager[None]:
        """Serve within the block."""
        return serving(self._server, "witness")

    def doubled(self) -> list[str]:
        """Return the occurrences that have arrived more than once."""
        times = Counter(one.occurrence for one in self.arrivals)
        return [one for one in times if times[one] > 1]
