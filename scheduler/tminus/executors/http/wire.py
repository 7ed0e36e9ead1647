"""
The wire of the lanes' process. Each message is a frame: its length, its kind, and its fields in msgpack.

The daemon writes commands to the executor's stdin and reads reports from its stdout.
"""

import struct
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, BinaryIO, get_args

import msgspec

from tminus.executors.protocol import (
    Arm,
    Armed,
    AttemptResult,
    AttemptResults,
    Broke,
    Cancel,
    Hello,
    HttpReport,
    Message,
    Release,
    ShardEnded,
    Withdraw,
)

_LENGTH = struct.Struct(">I")
#: Characters of a traceback, counted from its end.
_MOST_TRACEBACK = 8192


class Request(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """
    One complete request: nothing remains to be looked up, rendered or decided. Durations are in milliseconds,
    sizes in bytes.

    `repr` shows only the index, because URL, headers and body may contain secrets.
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
    max_body: int  #: the most bytes of the response's body; a longer one is a failure
    keep_body: int  #: the most bytes of the response's body that are reported
    follow: int = 0
    http2: bool = False
    ca: str | None = None
    insecure: bool = False
    confidential: list[str] = []  #: headers, by name, that no redirect may take to another server

    def __repr__(self) -> str:
        return f"<Request {self.index}>"

    @property
    def keeps_connection(self) -> bool:
        """
        Whether its connection stays open after a response, because other requests share the connection, or
        because a redirect may lead to the same server.
        """
        return self.http2 or self.follow > 0

    def redirected(self, url: str, method: str) -> "Request":
        """Return the request after a redirect."""
        return msgspec.structs.replace(self, url=url, method=method)


Command = Arm[Request] | Release | Withdraw | Cancel

#: The byte of each kind of message.
_KINDS: Mapping[type, bytes] = {
    Arm: b"A",
    Release: b"R",
    Withdraw: b"W",
    Cancel: b"C",
    Hello: b"h",
    Armed: b"a",
    AttemptResults: b"r",
    ShardEnded: b"e",
    Broke: b"b",
}
_encoder = msgspec.msgpack.Encoder()
_commands: Mapping[bytes, "msgspec.msgpack.Decoder[Command]"] = {
    _KINDS[Arm]: msgspec.msgpack.Decoder(Arm[Request]),
    _KINDS[Release]: msgspec.msgpack.Decoder(Release),
    _KINDS[Withdraw]: msgspec.msgpack.Decoder(Withdraw),
    _KINDS[Cancel]: msgspec.msgpack.Decoder(Cancel),
}
_reports: Mapping[bytes, "msgspec.msgpack.Decoder[HttpReport]"] = {
    _KINDS[kind]: msgspec.msgpack.Decoder(kind) for kind in get_args(HttpReport)
}


def encode(message: Message) -> bytes:
    """
    Return the frame of a message.

    Raises:
        Exception: the message holds something that msgpack cannot express, such as half of a surrogate pair.
    """
    payload = _KINDS[type(message)] + _encoder.encode(message)
    return _LENGTH.pack(len(payload)) + payload


def encode_results(results: AttemptResults) -> bytes:
    """
    Return the frame of results.

    A result that cannot be encoded is replaced: it is `unknown` if its request left, otherwise failed.
    """
    try:
        return encode(results)
    except Exception:  # noqa: BLE001  some result cannot be encoded
        return encode(replace(results, finished=[_encodable(one) for one in results.finished]))


def _encodable(finished: AttemptResult) -> AttemptResult:
    try:
        _encoder.encode(finished)
    except Exception as error:  # noqa: BLE001  as in `encode_results`
        return finished.unreportable(f"its result cannot be reported: {type(error).__name__}")
    return finished


def broke(error: BaseException, *, shard: int, index: int | None) -> Broke:
    """Return the report of an error."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    return Broke(shard=shard, index=index, error=type(error).__name__, traceback=frames[-_MOST_TRACEBACK:])


def write(stream: BinaryIO, message: Message) -> None:
    """
    Write one frame and flush it. Not thread-safe: a stream has one writer.

    Raises:
        OSError: the other end is closed.
    """
    stream.write(encode_results(message) if isinstance(message, AttemptResults) else encode(message))
    stream.flush()


def read_commands(stream: BinaryIO) -> Iterator[Command]:
    """Yield commands until the other end closes."""
    return (_decoded(payload, _commands) for payload in _frames(stream))


def read_reports(stream: BinaryIO) -> Iterator[HttpReport]:
    """Yield reports until the other end closes. A frame that is cut short is dropped."""
    return (_decoded(payload, _reports) for payload in _frames(stream))


def _decoded(payload: memoryview, decoders: Mapping[bytes, Any]) -> Any:
    decoder = decoders.get(bytes(payload[:1]))
    if decoder is None:
        raise msgspec.ValidationError(f"no message is of the kind {bytes(payload[:1])!r}")
    return decoder.decode(payload[1:])


def _frames(stream: BinaryIO) -> Iterator[memoryview]:
    while len(head := stream.read(_LENGTH.size)) == _LENGTH.size:
        (length,) = _LENGTH.unpack(head)
        payload = stream.read(length)
        if len(payload) < length:
            return
        yield memoryview(payload)
