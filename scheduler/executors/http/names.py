"""
Names to addresses, before T and once per name: libcurl would start a resolver thread for each transfer.

If a name cannot be resolved by the deadline, libcurl tries by itself at T.
"""

import ipaddress
import socket
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from scheduler.clock import Clock
from scheduler.instants import SECOND

#: Threads for names whose server answers.
THREADS = 16
#: The same with those whose name hangs.
MOST_THREADS = 64
#: Names that wait; requests to further ones start unarmed.
MOST_WAITING = 10_000
#: A name server that has not answered after this most likely does not.
_HANGS_NS = 1 * SECOND

Origin = tuple[str, int]


def origin_of(url: str) -> Origin:
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
    """Whether the host is an address already."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@dataclass(slots=True)
class _Question:
    """A host that is looked up once, for all who ask for it."""

    host: str
    until_ns: int  #: the last one who asks waits until then, monotonic clock
    future: "Future[list[str]]" = field(default_factory=Future)


class Resolver:
    """
    Looks names up on threads of its own, which may hang as long as the name server does. Thread-safe.

    A name that hangs has one thread, however often it is asked for. After a second, that thread no longer counts against
    `THREADS`, so that other names are looked up.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._open: dict[str, _Question] = {}  #: waiting, or being looked up
        self._waiting: deque[_Question] = deque()
        self._begun: dict[str, int] = {}  #: hosts that are being looked up, since when; monotonic clock
        self._threads = 0

    def look_up(self, host: str, *, until_ns: int) -> "Future[list[str]]":
        """
        Look up the addresses of a host, in the system's order of preference.

        Args:
            until_ns: Until when the caller waits, monotonic clock; a question that is still waiting then is dropped.

        Returns:
            A future that raises `OSError` if there are none, or if too many names are waiting.
        """
        with self._changed:
            question = self._open.get(host)
            if question is None:
                question = _Question(host, until_ns)
                if len(self._open) >= MOST_WAITING:
                    question.future.set_exception(OSError("too many names are waiting to be looked up"))
                    return question.future
                self._open[host] = question
                self._waiting.append(question)
                self._have_thread()
                self._changed.notify()
            question.until_ns = max(question.until_ns, until_ns)
            return question.future

    def go_on(self) -> None:
        """Start another thread if names wait behind names that hang. Call this now and then while you wait."""
        with self._changed:
            self._have_thread()

    def _have_thread(self) -> None:
        now_ns = self._clock.monotonic_ns()
        hanging = sum(now_ns - began_ns > _HANGS_NS for began_ns in self._begun.values())
        if len(self._open) > self._threads and self._threads < min(THREADS + hanging, MOST_THREADS):
            thread = threading.Thread(target=self._answer, name=f"resolver-{self._threads + 1}", daemon=True)
            with suppress(RuntimeError):  # no thread now: `go_on` tries again
                thread.start()
                self._threads += 1

    def _answer(self) -> None:
        while question := self._take():
            try:
                found = socket.getaddrinfo(question.host, None, type=socket.SOCK_STREAM)
            except Exception as error:  # noqa: BLE001  a name that is none, or no memory: the thread goes on
                self._close(question).set_exception(OSError(f"{type(error).__name__}: {error}"))
            else:
                self._close(question).set_result(list(dict.fromkeys(str(address[4][0]) for address in found)))

    def _take(self) -> _Question | None:
        """Wait for a question and return it; None if there are more threads than are needed."""
        with self._changed:
            while (question := self._next()) is None:
                if self._threads > THREADS:
                    self._threads -= 1
                    return None
                self._changed.wait()
            self._begun[question.host] = self._clock.monotonic_ns()
            return question

    def _next(self) -> _Question | None:
        """Return the next host to look up; drop those for which nobody waits any more."""
        while self._waiting:
            question = self._waiting.popleft()
            if question.until_ns >= self._clock.monotonic_ns():
                return question
            self._close(question).set_exception(OSError("nobody waited for it any more"))
        return None

    def _close(self, question: _Question) -> "Future[list[str]]":
        with self._changed:
            del self._open[question.host]
            self._begun.pop(question.host, None)
        return question.future


def pin(origin: Origin, addresses: list[str]) -> str:
    """Return a line for CURLOPT_RESOLVE; the `+` lets it expire like any other answer of a name server."""
    host, port = origin
    return f"+{host}:{port}:{','.join(f'[{a}]' if ':' in a else a for a in addresses)}"
