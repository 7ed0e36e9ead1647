"""
The messages between the daemon and a runner: plain, versioned values, one JSON object per line. Bytes are sent as base64.
A runner lives in the application's own environment, so this needs the standard library only.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, BinaryIO, get_args

from scheduler.executors.python.base64_text import decoded

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """
    The request that a view is called with, or that a function finds around it.

    Attributes:
        path: With its query; None if `endpoint` is given.
        endpoint: Of a view; its URL is built in the runner.
        args: Of the endpoint.
        session: Its values, in the format of Flask's cookie; empty for none.
    """

    method: str = "GET"
    path: str | None = None
    endpoint: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    headers: Sequence[Sequence[str]] = ()
    body: bytes = b""
    remote_addr: str | None = None
    session: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """
    One finished piece of work: nothing remains to be looked up, rendered or decided. Durations in nanoseconds, sizes in bytes.

    Attributes:
        ref: The function, `module:name`; None for a view.
        arguments: The function's own, `[args, kwargs]` as JSON.
        given: A first argument, as JSON that `given` reads; its result has that form, too. None for no such argument.
        latest_ns: After this, wall clock, it is not started any more.
        total_ns: From its start; then it is asked to stop, and written off.
        kill_after_ns: After that, until the process of an isolated job is killed.
        max_body, keep_body: Of a view's answer, read; of the answer or the result, sent back.
        keep_output: Of what it printed and logged, sent back.
    """

    index: int
    job: str
    occurrence: str
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Arm a shard. It is held until `Release`, and released at T."""

    shard: int
    t_ns: int
    deadline_ns: int  #: by then all jobs are at the barrier, armed or not
    give_up_ns: int  #: without a `Release` by then, nothing is started
    realtime: bool  #: the thread that holds takes a real-time priority, if that is allowed
    slots: int  #: the first of its slots on the board; that of a work is this plus its index
    works: Sequence[Work]
    one_by_one: bool = False  #: the works are prepared one after another


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Release the shard at T, except for the withdrawn works: the commit is durable."""

    shard: int
    withdrawn: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw:
    """Start nothing of the shard."""

    shard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The runner is ready for work, with the jobs that `registry.code_jobs` has found; or `error` says why it is not."""

    version: int
    pid: int
    realtime: bool = False
    error: str = ""
    jobs: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """All jobs are at the barrier."""

    shard: int
    armed: int
    took_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """
    The result of one attempt.

    Attributes:
        started_ns: When the function was entered, or the app called, wall clock; 0 if it was not.
        cause: A word of `outcome.Cause` if it failed; otherwise None.
        detail: A sentence for people about the cause.
        status: A view's; 0 for a function.
        late: It was not started, because it was released later than its `latest_ns`.
        still_runs: Its time is over, and its thread has not ended; `Left` follows when it has.
        body: A view's answer, or a function's result as JSON.
        output: What it printed and logged.
        traceback: The user's own frames, if it raised.
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
    still_runs: bool = False
    headers: Sequence[str] = ()
    body: bytes = b""
    body_size: int = 0
    output: bytes = b""
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Attempts that ended since the last such report."""

    shard: int
    finished: Sequence[Finished]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of a work: a fraction, from 0 to 1, and a text."""

    shard: int
    index: int
    part: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The shard is done: each of its works is in some `Results`, or nothing of it was started (`released` is False)."""

    shard: int
    released: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """The thread of a job that was written off has ended."""

    shard: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Threads that were written off do not end, or a command broke: further work belongs to a fresh runner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Ask a work to stop: it was cancelled."""

    shard: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request of a job to the daemon."""

    pid: int  #: of its process: the runner's, or that of an isolated job; with `number` it identifies the answer
    number: int
    what: str  #: `submit` with the fields of `model.background.Work`; `lock`, `unlock`; an operation of `ledger.state`
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The daemon's answer. If it is an error, `kind` is the class of the error, and `value` its sentence."""

    pid: int
    number: int
    value: Any = None
    kind: str = ""
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A process that has sent an `Ask` has ended."""

    pid: int


Command = Arm | Release | Withdraw | Stop | Answered
Report = Hello | Armed | Results | Progress | Ask | Gone | Ended | Left | Spent

_COMMANDS, _REPORTS = ({message.__name__: message for message in get_args(messages)} for messages in (Command, Report))


def encode(message: Command | Report) -> bytes:
    """
    Return the line of a message.

    Raises:
        Exception: the message holds something that JSON cannot express, or is nested too deeply.
    """
    text = json.dumps({"is": type(message).__name__, **plain(message)}, default=plain, ensure_ascii=False)
    return text.encode(errors="surrogatepass") + b"\n"  # as `json.loads` decodes it


def write(stream: BinaryIO, message: Command | Report) -> None:
    """
    Write one line and flush it. Not thread-safe: a stream has one writer.

    Raises:
        OSError: the other end is closed.
    """
    stream.write(encode(message))
    stream.flush()


def read_commands(lines: Iterable[bytes]) -> Iterator[Command]:
    """Yield the commands in these lines."""
    for line in lines:
        values = json.loads(line)
        command = _COMMANDS[values.pop("is")]
        if command is Arm:
            values["works"] = [_work(work) for work in values["works"]]
        yield command(**values)


def read_reports(stream: BinaryIO) -> Iterator[Report]:
    """Yield reports until the other end closes; a line that is cut short is dropped."""
    for line in stream:
        if not line.endswith(b"\n"):
            return
        values = json.loads(line)
        report = _REPORTS[values.pop("is")]
        if report is Results:
            values["finished"] = [finished_of(finished) for finished in values["finished"]]
        yield report(**values)


def plain(value: Any) -> Any:
    """Convert what JSON cannot express. Of a message, the fields stay as they are: nested values of a user are not copied."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if is_dataclass(value):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    raise TypeError(type(value).__name__)


def _work(fields: dict[str, Any]) -> Work:
    request = fields.pop("request")
    return Work(**fields, request=RequestContext(**(request | {"body": decoded(request["body"])})))


def finished_of(fields: dict[str, Any]) -> Finished:
    """Return a result from its fields in JSON."""
    return Finished(**(fields | {name: decoded(fields[name]) for name in ("body", "output")}))
