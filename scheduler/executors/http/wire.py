"""
The messages between the daemon and the HTTP executor: plain, versioned values in msgpack, each frame after its length.

The daemon writes commands to the executor's stdin and reads reports from its stdout.
"""

import struct
import traceback
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

VERSION = 1

_LENGTH = struct.Struct(">I")
#: Characters of a traceback: its last frames.
_MOST_TRACEBACK = 8192


class Request(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """
    One finished request: nothing remains to be looked up, rendered or decided. Durations in milliseconds, sizes in bytes.

    `repr` shows no more than the index: URL, headers and body may hold secrets.
    """

    index: int
    method: str
    url: str
    headers: list[str]  #: `Name: value` lines
    body: bytes | None
    connect_ms: int
    first_byte_ms: int  #: 0: no limit of its own
    total_ms: int
    latest_ns: int  #: after this, wall clock, it is not started any more
    max_body: int  #: of the answer, read
    keep_body: int  #: of the answer, sent back
    follow: int = 0
    http2: bool = False
    ca: str | None = None
    insecure: bool = False
    confidential: list[str] = []  #: headers, by name, that no redirect may take to another server

    def __repr__(self) -> str:
        return f"<Request {self.index}>"

    @property
    def leaves_connection(self) -> bool:
        """Whether its connection stays open after its end: others share it, or a redirect may have led to the same server."""
        return self.http2 or self.follow > 0

    def redirected(self, url: str, method: str) -> "Request":
        """Return the same request as it is after a redirect."""
        return msgspec.structs.replace(self, url=url, method=method)


class Arm(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Arm a shard. It is held until `Release`, and released at T."""

    shard: int
    t_ns: int
    deadline_ns: int  #: by then all lanes are at the barrier, armed or not
    give_up_ns: int  #: without a `Release` by then, nothing is started
    lanes: int | None  #: None: chosen by the shard's size
    max_connections: int | None  #: None: by the descriptor limit
    realtime: bool
    requests: list[Request]

    def with_one(self, request: Request) -> "Arm":
        """Return the same command with this request alone."""
        return msgspec.structs.replace(self, requests=[request])


class Release(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Release the shard at T, except for the withdrawn requests: the commit is durable."""

    shard: int
    withdrawn: list[int]


class Withdraw(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Start nothing of the shard."""

    shard: int


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The executor is ready for work."""

    version: int
    pid: int
    realtime: bool  #: whether a real-time priority is allowed here
    error: str = ""  #: why it cannot work


class Armed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """All lanes are at the barrier."""

    shard: int
    armed: int  #: the number of primed connections
    took_ns: int  #: until the last of them was primed


class Finished(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """
    The result of one attempt.

    Attributes:
        started_ns: When its request left, wall clock; 0 if it did not, or if that is not known.
        finished_ns: Wall clock.
        cause: A word of `outcome.Cause` if no complete answer came; otherwise None.
        detail: A sentence for people about the cause.
        unknown: It is unknown whether the request arrived.
        late: It was not started, because it was released later than its `latest_ns`.
    """

    index: int
    started_ns: int
    finished_ns: int
    duration_ns: int
    armed: bool
    status: int = 0
    cause: str | None = None
    detail: str = ""
    unknown: bool = False
    late: bool = False
    headers: list[str] = []
    body: bytes = b""
    body_size: int = 0


class Results(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Attempts that ended since the last such report."""

    shard: int
    finished: list[Finished]


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The shard is done: each of its requests is in some `Results`, or nothing of it was started (`released` is False)."""

    shard: int
    released: bool


class Broke(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An unforeseen error, for the daemon's log; its consequences are in the `Results`."""

    shard: int
    index: int | None  #: of its request; None if it was not in a step of one request
    error: str  #: the name of its class, without its text, which may quote a secret
    traceback: str


Command = Arm | Release | Withdraw
Report = Hello | Armed | Results | Ended | Broke

_commands = msgspec.msgpack.Decoder(Command)
_reports = msgspec.msgpack.Decoder(Report)


def encode(message: Command | Report) -> bytes:
    """
    Return the frame of a message.

    Raises:
        Exception: the message holds something that msgpack cannot express, such as half of a surrogate pair.
    """
    payload = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(payload)) + payload


def encode_results(results: Results) -> bytes:
    """
    Return the frame of results.

    If one of them cannot be encoded, the others cross the pipe. That one is `unknown` if its request left, otherwise failed.
    """
    try:
        return encode(results)
    except Exception:  # noqa: BLE001  whatever it is: one result has it
        return encode(msgspec.structs.replace(results, finished=[_encodable(one) for one in results.finished]))


def _encodable(finished: Finished) -> Finished:
    try:
        encode(Results(shard=0, finished=[finished]))
    except Exception as error:  # noqa: BLE001  as in `encode_results`
        detail = f"its result cannot be reported: {type(error).__name__}"
        return Finished(
            index=finished.index,
            started_ns=finished.started_ns,
            finished_ns=finished.finished_ns,
            duration_ns=finished.duration_ns,
            armed=finished.armed,
            cause="executor",
            detail=detail,
            unknown=finished.unknown or finished.started_ns > 0,
        )
    return finished


def broke(error: BaseException, *, shard: int, index: int | None) -> Broke:
    """Return the report on an error."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    return Broke(shard=shard, index=index, error=type(error).__name__, traceback=frames[-_MOST_TRACEBACK:])


def write(stream: BinaryIO, message: Command | Report) -> None:
    """
    Write one frame and flush it. Not thread-safe: a stream has one writer.

    Raises:
        OSError: the other end is closed.
    """
    stream.write(encode_results(message) if isinstance(message, Results) else encode(message))
    stream.flush()


def read_commands(stream: BinaryIO) -> Iterator[Command]:
    """Yield commands until the other end closes."""
    return (_commands.decode(payload) for payload in _frames(stream))


def read_reports(stream: BinaryIO) -> Iterator[Report]:
    """Yield reports until the other end closes; a frame that is cut short is dropped."""
    return (_reports.decode(payload) for payload in _frames(stream))


def _frames(stream: BinaryIO) -> Iterator[bytes]:
    while len(head := stream.read(_LENGTH.size)) == _LENGTH.size:
        (length,) = _LENGTH.unpack(head)
        payload = stream.read(length)
        if len(payload) < length:
            return
        yield payload
