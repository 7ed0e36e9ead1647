"""A real HTTP server on loopback that records requests, and misbehaves if their path says so."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote_to_bytes, urlsplit

import trustme

from tests.support.moments import PATIENCE_S
from tminus.clock import SystemClock

#: Bytes per write of a long response.
_CHUNK = b"x" * 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request, as received."""

    at_ns: int
    connection: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Peer:
    """One connection."""

    number: int
    socket: socket.socket
    requests: int = 0
    closed: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> None:
        """Serve the connection."""

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        self.closed.set()


class TargetServer:
    """
    A server with a thread per connection, until the `with` block ends.

    `/ok` and anything unknown answer 200. `/statuses/503,200?after=2` answers the first request for that path
    with 503 and all others with 200, with this `Retry-After`. `/status/503`, `/delay/250` (ms), `/bytes/1000`,
    `/redirect?to=URL&code=302` do what they say; `/echo` answers with all that it got; `/close`, `/reset`,
    `/garbage`, `/stall`, `/partial`, `/endless`, `/trickle`, `/early`, `/headers/20000`, `/header/200000` misbehave,
    and `/raw/close?say=BYTES`, `/raw/reset`, `/raw/stall` (`raw`) say just that first.
    `/hold` answers 200 once `release_held` is called.

    Args:
        tls: Serve https.
        refuses: This many connections, the first ones, are closed as soon as they are open.
        patience_s: A connection without a request for this long is closed.
        closes_after_answer: Whether to close a connection after a response that does not announce it.
    """

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        *,
        refuses: int = 0,
        patience_s: float | None = None,
        closes_after_answer: bool = False,
    ) -> None:
        self._tls = tls
        self._refuses = refuses
        self._patience_s = patience_s
        self._closes_after_answer = closes_after_answer
        self._clock = SystemClock()
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._arrivals: list[Arrival] = []
        self._peers: list[Peer] = []
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._may_answer = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> "TargetServer":
        self._start(self._accept, "target")
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.release_held()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.close_connections()
        for thread in self._threads:
            thread.join()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, or with https and the name that test certificates are for."""
        return f"https://localhost:{self.port}" if self._tls else f"http://127.0.0.1:{self.port}"

    @property
    def name(self) -> str:
        """The text that reasons have: `127.0.0.1 port PORT`."""
        return f"{'localhost' if self._tls else '127.0.0.1'} port {self.port}"

    @property
    def arrivals(self) -> list[Arrival]:
        """All requests so far, in the order of their arrival."""
        with self._lock:
            return list(self._arrivals)

    @property
    def connections(self) -> int:
        """The number of connections so far."""
        with self._lock:
            return len(self._peers)

    def wait_for(self, arrivals: int, timeout_s: float = 240) -> list[Arrival]:
        """Wait until this many requests have arrived; return all of them."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self._arrivals) >= arrivals, timeout_s), (
                f"{len(self._arrivals)} came"
            )
            return list(self._arrivals)

    def wait_for_connections(self, number: int, timeout_s: float = 240) -> None:
        """Wait until this many connections have been made."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self._peers) >= number, timeout_s), (
                f"{len(self._peers)} came"
            )

    def release_held(self) -> None:
        """Respond to all requests for `/hold`, also to those that are still to come."""
        self._may_answer.set()

    def close_connections(self, *, reset: bool = False) -> None:
        """Close every open connection, idle or not."""
        with self._lock:
            peers = list(self._peers)
        for peer in peers:
            _hang_up(peer.socket, reset=reset)
        for peer in peers if reset else ():
            assert peer.closed.wait(PATIENCE_S), "a connection is in use"

    def say_early(self, text: bytes) -> None:
        """Send this on every open connection, without a request."""
        with self._lock:
            peers = list(self._peers)
        for peer in peers:
            with contextlib.suppress(OSError):
                peer.socket.sendall(text)

    def _start(self, work: Callable[..., None], name: str, *args: object) -> None:
        thread = threading.Thread(target=work, args=args, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, "target-connection", connection)

    def _serve(self, raw: socket.socket) -> None:
        with contextlib.suppress(OSError, ssl.SSLError, ValueError):
            connection = self._tls.wrap_socket(raw, server_side=True) if self._tls else raw
            with self._arrived:
                peer = Peer(len(self._peers) + 1, connection)
                self._peers.append(peer)
                self._arrived.notify_all()
            with peer:
                if peer.number <= self._refuses:
                    return
                connection.settimeout(self._patience_s)
                while not self._stopping.is_set() and self._one_request(peer):
                    peer.requests += 1

    def _one_request(self, peer: Peer) -> bool:
        head = _read_head(peer.socket)
        if head is None:
            return False
        request_line, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = request_line.split(" ", 2)
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
        }
        peer.socket.settimeout(None)
        body = _read_exactly(peer.socket, int(headers.get("content-length", "0")))
        arrival = Arrival(
            at_ns=self._clock.wall_ns(),
            connection=peer.number,
            method=method,
            path=path,
            headers=headers,
            body=body,
        )
        with self._arrived:
            self._arrivals.append(arrival)
            self._arrived.notify_all()
        return self._answer(peer.socket, arrival) and not self._closes_after_answer

    def _answer(self, connection: socket.socket, arrival: Arrival) -> bool:
        """Respond; return whether the connection stays open."""
        parts = urlsplit(arrival.path)
        word, _, argument = parts.path.lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match word:
            case "status":
                return _send(connection, int(argument), b"as asked")
            case "statuses":
                with self._lock:
                    before = sum(one.path == arrival.path for one in self._arrivals) - 1
                statuses = argument.split(",")
                headers = f"Retry-After: {query['after']}\r\n" if "after" in query else ""
                return _send(connection, int(statuses[min(before, len(statuses) - 1)]), b"in turn", headers)
            case "delay":
                self._stopping.wait(int(argument) / 1000)
                return _send(connection, 200, b"late")
            case "hold":
                self._may_answer.wait()
                return _send(connection, 200, b"late")
            case "echo":
                said = f"{arrival.path} {arrival.headers}".encode() + arrival.body
                return _send(connection, 200, said, f"X-Echo: {arrival.headers.get('x-key', '')}\r\n")
            case "bytes":
                return _send(connection, 200, b"x" * int(argument))
            case "redirect":
                code = int(query.get("code", "302"))
                return _send(connection, code, b"", f"Location: {query['to']}\r\n")
            case "headers":
                return _send(
                    connection, 200, b"ok", "".join(f"X-{i}: {'y' * 100}\r\n" for i in range(int(argument)))
                )
            case "header":
                return _send(connection, 200, b"ok", f"X-Long: {'y' * int(argument)}\r\n")
            case "loop":
                return _send(connection, 302, b"", "Location: /loop\r\n")
            case "close":
                return False
            case "reset":
                _hang_up(connection, reset=True)
                return False
            case "garbage":
                connection.sendall(b"\x00\x01\x02 this is no HTTP\r\n\r\n")
                return False
            case "partial":
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")
                return False
            case "stall":
                self._stopping.wait(PATIENCE_S)
                return False
            case "endless":
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
                for _ in range((1 << 30) // len(_CHUNK)):
                    connection.sendall(_CHUNK)
                return True
            case "raw":
                connection.sendall(unquote_to_bytes(parts.query.removeprefix("say=")))
                if argument == "stall":
                    self._stopping.wait(PATIENCE_S)
                elif argument == "reset":
                    _hang_up(connection, reset=True)
                return False
            case "early":
                while not self._stopping.is_set():
                    connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100)
                return False
            case "trickle":
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while not self._stopping.wait(0.05):
                    connection.sendall(b"x")
                return False
            case _:
                return _send(connection, 200, b"ok")


def raw(answer: bytes, then: str = "close") -> str:
    """Return the path at which a target sends just this, then does `close`, `reset` or `stall`."""
    return f"/raw/{then}?say={quote(answer)}"


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """
    Yield a port of loopback at which each attempt to connect waits forever: its queue is full.
    """
    with contextlib.ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = open_sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


class Authority:
    """
    An issuer of certificates that nobody else trusts.

    Args:
        folder: The folder for its own certificate.
    """

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self.path = str(folder / "authority.pem")
        self._authority.cert_pem.write_to_path(self.path)

    def context(self, *names: str, expired: bool = False) -> ssl.SSLContext:
        """Return the context of a server that serves https under these names."""
        until = datetime(2020, 1, 1, tzinfo=UTC) if expired else None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(*(names or ("localhost", "127.0.0.1")), not_after=until).configure_cert(
            context
        )
        return context


def _send(connection: socket.socket, status: int, body: bytes, headers: str = "") -> bool:
    connection.sendall(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)
    return True


def _read_head(connection: socket.socket) -> bytes | None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)  # not a byte of the body: that is read by its length
        if not piece:
            return None
        head += piece
    return head[:-4]


def _read_exactly(connection: socket.socket, length: int) -> bytes:
    body = b""
    while len(body) < length:
        piece = connection.recv(min(length - len(body), 65536))
        if not piece:
            raise ValueError("the body broke off")
        body += piece
    return body


def _hang_up(connection: socket.socket, *, reset: bool = False) -> None:
    with contextlib.suppress(OSError):
        if reset:  # who waits for a request on it wakes up, and closes it
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.shutdown(socket.SHUT_RD)
        else:
            connection.shutdown(socket.SHUT_RDWR)
