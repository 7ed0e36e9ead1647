"""
What crosses the pipe: a shard in, reports out. Plain, versioned values; msgpack, each frame behind its length.

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
    One finished request: nothing is left to look up, render or decide. Durations in milliseconds, sizes in bytes.

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
    latest_ns: int  #: started later than that (wall clock), it goes home instead
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
        """Whether its connection stands on when it has ended: others share it, or a redirect may have led to the same server."""
        return self.http2 or self.follow > 0

    def redirected(self, url: str, method: str) -> "Request":
        """The same request, as it goes on after a redirect."""
        return msgspec.structs.replace(self, url=url, method=method)


class Arm(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Get a shard ready: it is held until `Release`, and let go at T."""

    shard: int
    t_ns: int
    deadline_ns: int  #: armed or not, all stand at the barrier by then
    give_up_ns: int  #: without a `Release` by then, all go home
    lanes: int | None  #: None: chosen by the shard's size
    max_connections: int | None  #: None: by the descriptor limit
    realtime: bool
    requests: list[Request]

    def with_one(self, request: Request) -> "Arm":
        """Return the same command with this request alone."""
        return msgspec.structs.replace(self, requests=[request])


class Release(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The commit is durable: let the shard go at T, but for those withdrawn."""

    shard: int
    withdrawn: list[int]


class Withdraw(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Send the whole shard home."""

    shard: int


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The executor is ready for work."""

    version: int
    pid: int
    realtime: bool  #: whether a real-time priority is allowed here
    error: str = ""  #: why it cannot work


class Armed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """All lanes stand at the barrier."""

    shard: int
    armed: int  #: how many connections are primed
    took_ns: int  #: until the last of them was


class Finished(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """
    How one attempt went.

    Attributes:
        started_ns: When its request left (wall clock); 0 where it never did.
        finished_ns: Wall clock.
        cause: A word of `outcome.Cause` where no complete answer came; None where one did.
        detail: A sentence for people about the cause.
        unknown: Nobody can say whether the request arrived.
        late: Not started: let go later than its `latest_ns`.
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
    """The shard is done: every request of it is in some `Results`, or the shard was sent home (`released` is False)."""

    shard: int
    released: bool


class Broke(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An error that no code expects, for the daemon's log; what it has cost is in the `Results`."""

    shard: int
    index: int | None  #: None: it was not one request's
    error: str  #: the name of its class; its text may quote a secret
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
    """The report on an error."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    return Broke(shard=shard, index=index, error=type(error).__name__, traceback=frames[-_MOST_TRACEBACK:])


def write(stream: BinaryIO, message: Command | Report) -> None:
    """
    Write one frame and flush it. Not thread-safe: a stream has one writer.

    Raises:
        OSError: the other end is gone.
    """
    stream.write(encode_results(message) if isinstance(message, Results) else encode(message))
    stream.flush()


def read_commands(stream: BinaryIO) -> Iterator[Command]:
    """Commands until the other end closes."""
    return (_commands.decode(payload) for payload in _frames(stream))


def read_reports(stream: BinaryIO) -> Iterator[Report]:
    """Reports until the other end closes; a frame cut short by a death is dropped."""
    return (_reports.decode(payload) for payload in _frames(stream))


def _frames(stream: BinaryIO) -> Iterator[bytes]:
    while len(head := stream.read(_LENGTH.size)) == _LENGTH.size:
        (length,) = _LENGTH.unpack(head)
        payload = stream.read(length)
        if len(payload) < length:
            return
        yield payload
