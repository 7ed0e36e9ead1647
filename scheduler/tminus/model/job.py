"""A job: a named definition, with its target, its schedule and its policies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from tminus.http_rules.syntax import SAFE_METHODS
from tminus.model.chain import Function, Link
from tminus.model.code_job import CodeJob
from tminus.policies.catch_up import NO_CATCH_UP, CatchUp
from tminus.policies.coalesce import Coalesce
from tminus.policies.dst import AS_CRON, Dst
from tminus.policies.overlap import Overlap
from tminus.policies.retry import NO_RETRY, Retry
from tminus.policies.timeouts import Timeouts
from tminus.policies.unknown import OnUnknown

#: Limit for a response, and for the result of a function, in bytes.
MAX_BODY = 16 << 20


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression of 5 fields, or 6 with seconds first, in a zone, by the rules of Debian's cron."""

    text: str
    zone: str
    dst: Dst = AS_CRON  #: the rules of a fixed time around a transition


@dataclass(frozen=True, slots=True)
class Every:
    """All multiples of an interval since 1970-01-01T00:00Z."""

    interval_ns: int


@dataclass(frozen=True, slots=True)
class Once:
    """One instant."""

    instant_ns: int


@dataclass(frozen=True, slots=True)
class Limits:
    """
    The times at which fire times count. At any other time there is no fire time.

    Args:
        zone: The zone of the windows, an IANA name.
        windows: Start and end of each window, in seconds of the local day; the end is excluded. Ascending,
            disjoint. If there are none, every time of day counts.
        excepted: Start and end of each stretch that does not count, in seconds since the Unix epoch; the end
            is excluded. Ascending, disjoint.
    """

    zone: str
    windows: tuple[tuple[int, int], ...] = ()
    excepted: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Limited:
    """The times of a cron expression, an interval or an instant, except those that the limits leave out."""

    times: Cron | Every | Once
    limits: Limits


Part = Cron | Every | Once | Limited

#: A job is due by each of them; empty if it is only started manually.
Schedule = tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The check of the server's certificate."""

    ca: str | None = None  #: file with the certificate authorities to trust instead of the system's
    insecure: bool = False  #: whether it is not checked at all


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """
    The contents of a request, as written. Texts may contain `{{ … }}` and `${…}`, which are replaced when the
    job is armed.

    At most one of `json`, `form` and `body` is set. `has_json` distinguishes a JSON null from no body.
    """

    method: str = "GET"
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    has_json: bool = False
    form: Mapping[str, str] | None = None
    body: str | None = None

    @property
    def is_safe(self) -> bool:
        return self.method in SAFE_METHODS


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTarget(Message):
    """
    One HTTP request. If `body_file` is set, there is no other body.

    A lane sends it. Its `prepare` runs in the runner of `app`.
    """

    url: str
    app: str | None = None  #: a name under `apps`
    prepare: str | None = None  #: `module:name` of the function that may change the request before T
    body_file: str | None = None  #: absolute path
    follow: int = 0  #: redirects to follow
    http_version: str = "1.1"
    max_body: int = MAX_BODY
    tls: Tls = Tls()

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlaskTarget(Message):
    """A view of a Flask application, by `endpoint` or `url`. It is called through the whole WSGI stack."""

    app: str  #: a name under `apps`, or `module:name`
    endpoint: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)  #: of the endpoint
    url: str | None = None  #: path and query
    session: Mapping[str, Any] = field(default_factory=dict)  #: the values of its session
    max_body: int = MAX_BODY

    def __str__(self) -> str:
        return f"flask {self.app} {self.endpoint or self.url}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextRequest(Message):
    """The request context of a function."""

    path: str = "/"


class Isolate(StrEnum):
    """The isolation of a function: a thread in a process that other jobs share, or a process of its own."""

    THREAD = "thread"
    PROCESS = "process"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTarget:
    """A Python function; inside a Flask application if `app` is set."""

    ref: str  #: `module:name`
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    app: str | None = None  #: a name under `apps`
    request: ContextRequest = ContextRequest()
    isolate: Isolate = Isolate.THREAD

    def __str__(self) -> str:
        return f"call {self.ref}"


Target = HttpTarget | FlaskTarget | CallTarget


class RunnerKey(NamedTuple):
    """
    The key of a runner: its application, or None for functions without one; and whether each job gets a
    process of its own.
    """

    app: str | None
    isolate: Isolate = Isolate.THREAD


@dataclass(frozen=True, slots=True)
class StatusRange:
    """HTTP status codes from `first` to `last`: a class such as `2xx`, or one code."""

    first: int
    last: int

    def __contains__(self, status: int) -> bool:
        return self.first <= status <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first // 100}xx"


@dataclass(frozen=True, slots=True)
class SourceLocation:
    """
    The place of a definition in a file; without a line if that is unknown. If the file is code of an
    application, `app` is its name.
    """

    path: str
    line: int | None
    app: str | None = None

    def __str__(self) -> str:
        line = "" if self.line is None else f":{self.line}"
        return f"{self.path}{line}" + (f" (app {self.app})" if self.app else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A named definition: target, schedule and policies."""

    name: str
    target: Target
    schedule: Schedule
    schedule_text: str  #: for people, as written
    zone: str  #: the IANA name of the zone in which its times are shown and rendered
    timeouts: Timeouts
    jitter_ns: int = 0  #: each occurrence is planned less than this after its fire time
    misfire_grace_ns: int
    coalesce: Coalesce
    catch_up: CatchUp = NO_CATCH_UP
    not_after: Cron | None = None  #: the time of day after which no late start and no catch-up comes
    finish_by: Cron | None = None  #: the time of day by which it should have finished
    max_instances: int
    overlap: Overlap
    retry: Retry = NO_RETRY
    pause_on_failure: int | None = None  #: the failures in a row after which it is paused
    on_unknown: OnUnknown = OnUnknown.ALERT
    expect_status: tuple[StatusRange, ...]
    then: tuple[Link, ...] = ()  #: what follows a run
    params: Mapping[str, Any]
    #: The calendars that its texts use, each with the time that it excepts, as in `Limits`.
    calendars: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    tags: tuple[str, ...]
    description: str | None
    suspended: bool
    notify: tuple[str, ...] = ()  #: the channels that are told how it ends
    place: SourceLocation
    #: The definition in code, if this process has it from the ledger only: the application must report it
    #: before the job starts.
    unproven: CodeJob | None = None

    @property
    def runners(self) -> frozenset[RunnerKey]:
        """The runners that its Python functions need."""
        keys = {
            RunnerKey(handler.app)
            for link in self.then
            for handler in link.handlers
            if isinstance(handler, Function)
        }
        if not isinstance(self.target, HttpTarget):
            keys.add(runner_of(self.target))
        elif self.target.prepare:
            keys.add(RunnerKey(self.target.app))
        return frozenset(keys)

    @property
    def is_forked(self) -> bool:
        """Whether each of its runs gets a process of its own."""
        return isinstance(self.target, CallTarget) and self.target.isolate is Isolate.PROCESS


def runner_of(target: FlaskTarget | CallTarget) -> RunnerKey:
    """Return the runner of a view or a function."""
    return RunnerKey(target.app, target.isolate if isinstance(target, CallTarget) else Isolate.THREAD)
