"""
Resolves names before T, and once per name. libcurl would start a resolver thread for each transfer.

If a name cannot be resolved by the deadline, libcurl tries to resolve it at T.
"""

import ipaddress
import socket
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tminus.clock import Clock
from tminus.instants import SECOND

#: Threads, without those whose name hangs.
THREADS = 16
#: Threads, including those whose name hangs.
MOST_THREADS = 64
#: Names that may wait. Requests to further names start unarmed.
MOST_WAITING = 10_000
#: A name hangs if its server has not responded after this time.
_HANGS_NS = 1 * SECOND

HostPort = tuple[str, int]


def host_port(url: str) -> HostPort:
    """
    Return host and port of an http or https URL.

    Raises:
        ValueError: the URL has no host, or its port is out of range.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("the URL has no host")
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def is_literal(host: str) -> bool:
    """Return whether the host is an address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@dataclass(slots=True)
class _LookUp:
    """The look-up of a host, for all callers that wait for it."""

    host: str
    until_ns: int  #: the last caller waits until then, monotonic clock
    future: "Future[list[str]]" = field(default_factory=Future)


class Resolver:
    """
    Looks names up on threads of its own, which may hang as long as the name server does. Thread-safe.

    A name that hangs has one thread, however many callers wait for it. After a second, that thread no longer
    counts against `THREADS`, so that other names are looked up.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._open: dict[str, _LookUp] = {}  #: waiting, or being looked up
        self._waiting: deque[_LookUp] = deque()
        self._began_ns: dict[str, int] = {}  #: of the hosts that are being looked up, monotonic clock
        self._threads = 0

    def look_up(self, host: str, *, until_ns: int) -> "Future[list[str]]":
        """
        Look up the addresses of a host, in the system's order of preference.

        Args:
            until_ns: How long the caller waits, monotonic clock. A name that is still waiting then is
                dropped.

        Returns:
            A future. It raises `OSError` if there are no addresses, or if too many names are waiting.
        """
        with self._changed:
            look_up = self._open.get(host)
            if look_up is None:
                look_up = _LookUp(host, until_ns)
                if len(self._open) >= MOST_WAITING:
                    look_up.future.set_exception(OSError("too many names are waiting to be looked up"))
                    return look_up.future
                self._open[host] = look_up
                self._waiting.append(look_up)
                self._start_thread_if_needed()
                self._changed.notify()
            look_up.until_ns = max(look_up.until_ns, until_ns)
            return look_up.future

    def go_on(self) -> None:
        """
        Start another thread if names wait behind names that hang. Call this repeatedly while you wait.
        """
        with self._changed:
            self._start_thread_if_needed()

    def _start_thread_if_needed(self) -> None:
        now_ns = self._clock.monotonic_ns()
        hanging = sum(now_ns - began_ns > _HANGS_NS for began_ns in self._began_ns.values())
        if len(self._open) > self._threads and self._threads < min(THREADS + hanging, MOST_THREADS):
            thread = threading.Thread(
                target=self._resolve_names, name=f"resolver-{self._threads + 1}", daemon=True
            )
            with suppress(RuntimeError):  # no thread now: `go_on` tries again
                thread.start()
                self._threads += 1

    def _resolve_names(self) -> None:
        while look_up := self._take():
            try:
                found = socket.getaddrinfo(look_up.host, None, type=socket.SOCK_STREAM)
            except Exception as error:  # noqa: BLE001  an invalid name, or no memory: the thread continues
                self._close(look_up).set_exception(OSError(f"{type(error).__name__}: {error}"))
            else:
                self._close(look_up).set_result(list(dict.fromkeys(str(address[4][0]) for address in found)))

    def _take(self) -> _LookUp | None:
        """Wait for a look-up and return it; None if there are more threads than needed."""
        with self._changed:
            while (look_up := self._next()) is None:
                if self._threads > THREADS:
                    self._threads -= 1
                    return None
                self._changed.wait()
            self._began_ns[look_up.host] = self._clock.monotonic_ns()
            return look_up

    def _next(self) -> _LookUp | None:
        """Return the next look-up; drop those for which no caller waits any more."""
        while self._waiting:
            look_up = self._waiting.popleft()
            if look_up.until_ns >= self._clock.monotonic_ns():
                return look_up
            self._close(look_up).set_exception(OSError("no transfer waited for it any more"))
        return None

    def _close(self, look_up: _LookUp) -> "Future[list[str]]":
        with self._changed:
            del self._open[look_up.host]
            self._began_ns.pop(look_up.host, None)
        return look_up.future


def pin(origin: HostPort, addresses: list[str]) -> str:
    """Return a line for CURLOPT_RESOLVE. With the `+` it expires like a response of a name server."""
    host, port = origin
    return f"+{host}:{port}:{','.join(f'[{a}]' if ':' in a else a for a in addresses)}"
