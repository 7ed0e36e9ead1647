"""
Names to addresses, before T and once a name: libcurl would start a resolver thread for each transfer.

What cannot be resolved by the deadline stays out: libcurl then tries by itself at T.
"""

import ipaddress
import queue
import socket
import threading
from concurrent.futures import Future
from urllib.parse import urlsplit

THREADS = 16

Origin = tuple[str, int]


def origin_of(url: str) -> Origin:
    """
    Host and port of an http or https URL.

    Raises:
        ValueError: the URL has no host, or its port is out of range.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("the URL has no host")
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def is_literal(host: str) -> bool:
    """Whether the host is an address already."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Resolver:
    """Looks names up on a few threads of its own, which may hang for as long as the name server does. Thread-safe."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[tuple[Origin, Future[list[str]]]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._unanswered = 0
        self._threads = 0

    def look_up(self, origin: Origin) -> Future[list[str]]:
        """The addresses of a host, in the system's order of preference; the future raises `OSError` where there are none."""
        future: Future[list[str]] = Future()
        self._asked.put((origin, future))
        with self._lock:
            self._unanswered += 1
            if self._threads < min(self._unanswered, THREADS):
                self._threads += 1
                threading.Thread(target=self._answer, name=f"resolver-{self._threads}", daemon=True).start()
        return future

    def _answer(self) -> None:
        while True:
            (host, port), future = self._asked.get()
            try:
                found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                future.set_exception(OSError(str(error)))
            else:
                future.set_result(list(dict.fromkeys(str(address[4][0]) for address in found)))
            with self._lock:
                self._unanswered -= 1


def pin(origin: Origin, addresses: list[str]) -> str:
    """One line for CURLOPT_RESOLVE; the `+` lets it time out like any other answer of a name server."""
    host, port = origin
    return f"+{host}:{port}:{','.join(f'[{a}]' if ':' in a else a for a in addresses)}"
