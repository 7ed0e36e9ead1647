"""
The wire of runners: each message is a line of JSON, with bytes as base64. A runner runs in the application's
own environment, so this module needs only the standard library.
"""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, BinaryIO, TypeVar, get_args

from tminus.executors.protocol import (
    Arm,
    AttemptResult,
    AttemptResults,
    Call,
    Cancel,
    JobResponse,
    Message,
    Release,
    Returned,
    RunnerReport,
    Stop,
    Withdraw,
)
from tminus.executors.python.base64_text import decoded


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """
    The request of a view, or of the context around a function.

    Attributes:
        path: The path with its query, without the mount point; None if `endpoint` is given.
        base_url: Scheme, host and mount point of a copied request, which its URLs begin with; None for those
            of the application's configuration.
        endpoint: The endpoint of a view. The runner builds its URL.
        args: The arguments of the endpoint.
        session: The values of the session, in the format of Flask's cookie; empty for none.
    """

    method: str = "GET"
    path: str | None = None
    base_url: str | None = None
    endpoint: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    headers: Sequence[Sequence[str]] = ()
    body: bytes = b""
    remote_addr: str | None = None
    session: str = ""


def context_of_copy(copy: Mapping[str, Any] | None) -> RequestContext:
    """
    Return the context of a background run, from the copy of the request that is stored with it, if there is
    one.

    Raises:
        Exception: it is not such a copy.
    """
    return RequestContext(**{**copy, "body": copy["body"].encode()}) if copy else RequestContext()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """
    One complete piece of work: nothing remains to be looked up, rendered or decided. Durations are in
    nanoseconds, sizes in bytes.

    Attributes:
        run_id: The id of a background run; None for other work.
        ref: The function, `module:name`; None for a view.
        arguments: The function's own arguments, `[args, kwargs]` as JSON.
        given: A first argument, as JSON for `payload_objects`. The result has the same form. None if there is
            no such argument.
        latest_ns: After this, wall clock, it is not started any more.
        total_ns: The time from its start until it is asked to stop and written off.
        kill_after_ns: The time after that until the process of an isolated job is killed.
        max_body: The most bytes of a view's response, or of a result. A longer one is a failure.
        keep_body: The part of it that is reported.
        keep_output: The part of what it printed and logged that is reported.
    """

    index: int
    job: str
    occurrence: str
    run_id: str | None = None
    ref: str | None
    declared_by: str | None = None  #: the background function whose declaration must name `ref`
    defined: str | None = None  #: the keys, as JSON, by which the code must define the job
    arguments: str = "[[], {}]"
    given: str | None = None
    request: RequestContext = RequestContext()
    latest_ns: int
    total_ns: int
    kill_after_ns: int = 10_000_000_000
    max_body: int
    keep_body: int
    keep_output: int

    def __repr__(self) -> str:  # arguments, headers and body may hold secrets
        return f"<Work {self.index}>"


Command = Arm[Work] | Call[Work] | Release | Withdraw | Cancel | Stop | JobResponse
_Message = TypeVar("_Message")

_COMMANDS: Mapping[str, Callable[..., Command]] = {
    kind.__name__: kind for kind in (Arm, Call, Release, Withdraw, Cancel, Stop, JobResponse)
}
_REPORTS: Mapping[str, Callable[..., RunnerReport]] = {kind.__name__: kind for kind in get_args(RunnerReport)}


def encode(message: Message) -> bytes:
    """
    Return the line of a message.

    Raises:
        Exception: the message holds something that JSON cannot express, or is nested too deeply.
    """
    text = json.dumps({"is": type(message).__name__, **plain(message)}, default=plain, ensure_ascii=False)
    return text.encode(errors="surrogatepass") + b"\n"  # as `json.loads` decodes it


def write(stream: BinaryIO, message: Message) -> None:
    """
    Write one line and flush it. Not thread-safe: a stream has one writer.

    Raises:
        OSError: the other end is closed.
    """
    stream.write(encode(message))
    stream.flush()


def read_commands(lines: Iterable[bytes]) -> Iterator[Command]:
    """Yield the commands in these lines."""
    return (_message(line, _COMMANDS) for line in lines)


def read_reports(stream: BinaryIO) -> Iterator[RunnerReport]:
    """Yield reports until the other end closes. A line that is cut short is dropped."""
    for line in stream:
        if not line.endswith(b"\n"):
            return
        yield _message(line, _REPORTS)


def plain(value: Any) -> Any:
    """
    Convert a value for JSON: bytes, or a message. The fields of a message stay as they are, so that a user's
    nested values are not copied.
    """
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if is_dataclass(value):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    raise TypeError(type(value).__name__)


def _to_work(fields: dict[str, Any]) -> Work:
    request = fields.pop("request")
    return Work(**fields, request=RequestContext(**(request | {"body": decoded(request["body"])})))


def to_result(fields: dict[str, Any]) -> AttemptResult:
    """Return a result from its fields in JSON."""
    return AttemptResult(**(fields | {name: decoded(fields[name]) for name in ("body", "output")}))


#: The field of a message that is not plain JSON, and its conversion.
_NESTED: Mapping[Callable[..., Any], tuple[str, Callable[[Any], Any]]] = {
    Arm: ("works", lambda works: [_to_work(work) for work in works]),
    Call: ("work", _to_work),
    AttemptResults: ("finished", lambda results: [to_result(result) for result in results]),
    Returned: ("result", to_result),
}


def _message(line: bytes, kinds: Mapping[str, Callable[..., _Message]]) -> _Message:
    values = json.loads(line)
    kind = kinds[values.pop("is")]
    if kind in _NESTED:
        name, convert = _NESTED[kind]
        values[name] = convert(values[name])
    return kind(**values)
