"""
What crosses the pipes of a runner: a shard of Python jobs in, reports out. Plain, versioned values, a JSON object a line.
A runner lives in the application's own environment, so this needs the standard library only. Bytes travel as base64.
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
        path: With its query; None where `endpoint` is given.
        endpoint: Of a view; its URL is built in the runner.
        args: Of the endpoint.
        session: Its values, in the words of Flask's own cookie; empty for none.
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
    One finished piece of work: nothing is left to look up, render or decide. Durations in nanoseconds, sizes in bytes.

    Attributes:
        ref: The function, `module:name`; None for a view.
        arguments: The function's own, `[args, kwargs]` as JSON.
        given: What it gets before its arguments, as JSON that `given` reads; None for nothing. So is its result, then.
        latest_ns: Started later than that (wall clock), it goes home instead.
        total_ns: From its start; then it is told to stop, and written off.
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
    """Get a shard ready: it is held until `Release`, and let go at T."""

    shard: int
    t_ns: int
    deadline_ns: int  #: armed or not, all stand at the barrier by then
    give_up_ns: int  #: without a `Release` by then, all go home
    realtime: bool  #: the thread that holds takes a real-time priority, where that is allowed
    slots: int  #: the first of its places on the board; a work's is that plus its index
    works: Sequence[Work]
    one_by_one: bool = False  #: one is prepared after another


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The commit is durable: let the shard go at T, but for those withdrawn."""

    shard: int
    withdrawn: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw:
    """Send the whole shard home."""

    shard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The runner is ready for work, with the jobs that `registry.code_jobs` has found; or a sentence says why it is not."""

    version: int
    pid: int
    realtime: bool = False
    error: str = ""
    jobs: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """All threads stand at the barrier."""

    shard: int
    armed: int
    took_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """
    How one attempt went.

    Attributes:
        started_ns: When the function was entered, or the app called (wall clock); 0 where it never was.
        cause: A word of `outcome.Cause` where it did not come to its end; None where it did.
        detail: A sentence for people about the cause.
        status: A view's; 0 for a function.
        late: Not started: let go later than its `latest_ns`.
        still_runs: Its time is over, and its thread has not ended; `Left` follows when it has.
        body: A view's answer, or a function's result as JSON.
        output: What it printed and logged.
        traceback: The user's own frames, where it raised.
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
    """How far a work has come: a part of 1, and words."""

    shard: int
    index: int
    part: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The shard is done: each of its works is in some `Results`, or the shard was sent home (`released` is False)."""

    shard: int
    released: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """The thread of a job that was written off has ended."""

    shard: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Threads that were written off do not end, or a command broke: what comes from now on belongs to a fresh runner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Tell a work to stop: somebody has cancelled it."""

    shard: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A job asks the daemon for something."""

    pid: int  #: of its process: the runner's, or that of an isolated job; with `number` what the answer is known by
    number: int
    what: str  #: `submit` with the fields of `model.background.Work`; `lock`, `unlock`; an operation of `ledger.state`
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The daemon's answer; `kind` is the class of the error that it is instead, `value` its sentence then."""

    pid: int
    number: int
    value: Any = None
    kind: str = ""
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A process of which there were asks has ended."""

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
        OSError: the other end is gone.
    """
    stream.write(encode(message))
    stream.flush()


def read_commands(lines: Iterable[bytes]) -> Iterator[Command]:
    """The commands in these lines."""
    for line in lines:
        values = json.loads(line)
        command = _COMMANDS[values.pop("is")]
        if command is Arm:
            values["works"] = [_work(work) for work in values["works"]]
        yield command(**values)


def read_reports(stream: BinaryIO) -> Iterator[Report]:
    """Reports until the other end closes; a line cut short by a death is dropped."""
    for line in stream:
        if not line.endswith(b"\n"):
            return
        values = json.loads(line)
        report = _REPORTS[values.pop("is")]
        if report is Results:
            values["finished"] = [finished_of(finished) for finished in values["finished"]]
        yield report(**values)


def plain(value: Any) -> Any:
    """What JSON has no word for; of a message its fields, as they are: what a user has nested is not copied level by level."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if is_dataclass(value):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    raise TypeError(type(value).__name__)


def _work(fields: dict[str, Any]) -> Work:
    request = fields.pop("request")
    return Work(**fields, request=RequestContext(**(request | {"body": decoded(request["body"])})))


def finished_of(fields: dict[str, Any]) -> Finished:
    """One report, from its fields as JSON has them."""
    return Finished(**(fields | {name: decoded(fields[name]) for name in ("body", "output")}))
