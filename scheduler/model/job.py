"""A job: a named definition, with its target, its schedule and its policies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from scheduler.model.chain import Function, Link
from scheduler.model.code import CodeJob
from scheduler.policies.coalesce import Coalesce
from scheduler.policies.overlap import Overlap
from scheduler.policies.timeouts import Timeouts

#: Methods that RFC 9110, section 9.2.1, calls safe: to send them twice changes nothing.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

#: Bytes of an answer, or of a function's result, that are read.
MAX_BODY = 16 << 20


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron text of 5 fields, or 6 with seconds first, in a zone; Debian cron's rules."""

    text: str
    zone: str


@dataclass(frozen=True, slots=True)
class Every:
    """Every multiple of the interval since 1970-01-01T00:00Z."""

    interval_ns: int


@dataclass(frozen=True, slots=True)
class Once:
    """One instant."""

    instant_ns: int


#: Any of them; empty for a job that only starts by hand.
Schedule = tuple[Cron | Every | Once, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How the server's certificate is checked."""

    ca: str | None = None  #: file of the authorities to trust instead of the system's
    insecure: bool = False  #: do not check at all


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """
    What a request says, as written: texts may hold `{{ … }}` and `${…}`, which are put in when the job is armed.

    At most one of `json`, `form` and `body` is given; `has_json` tells a JSON null from no body.
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
    One HTTP request. Where `body_file` is given, no other body is.

    Its bytes leave from the lanes; the Python that it names runs in the runner of `app`.
    """

    url: str
    app: str | None = None  #: a name under `apps`
    prepare: str | None = None  #: `module:name` of what may change the request before T
    body_file: str | None = None  #: absolute path
    follow: int = 0  #: redirects to follow
    http_version: str = "1.1"
    max_body: int = MAX_BODY
    tls: Tls = Tls()

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlaskTarget(Message):
    """A view of a Flask application, called through its whole WSGI stack; by `endpoint` or by `url`."""

    app: str  #: a name under `apps`
    endpoint: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)  #: of the endpoint
    url: str | None = None  #: path and query
    max_body: int = MAX_BODY

    def __str__(self) -> str:
        return f"flask {self.app} {self.endpoint or self.url}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings(Message):
    """The request that a function finds around it."""

    path: str = "/"


class Isolate(StrEnum):
    """What a function runs in: what it does to itself it does to all that share it."""

    THREAD = "thread"
    PROCESS = "process"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTarget:
    """A Python function; inside a Flask application where it names one."""

    ref: str  #: `module:name`
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    app: str | None = None  #: a name under `apps`
    request: Surroundings = Surroundings()
    isolate: Isolate = Isolate.THREAD

    def __str__(self) -> str:
        return f"call {self.ref}"


Target = HttpTarget | FlaskTarget | CallTarget


class RunnerKey(NamedTuple):
    """A runner process: of which application (None: of functions that need none), and whether each job gets a process."""

    app: str | None
    isolate: Isolate = Isolate.THREAD


@dataclass(frozen=True, slots=True)
class StatusRange:
    """Codes from `first` to `last`, as `2xx` or a single one."""

    first: int
    last: int

    def __contains__(self, status: int) -> bool:
        return self.first <= status <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first // 100}xx"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in which file a definition stands; `app` is the application whose code that file is of."""

    path: str
    line: int
    app: str | None = None

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" + (f" (app {self.app})" if self.app else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A named definition: what to do, when, and by which policies."""

    name: str
    target: Target
    schedule: Schedule
    schedule_text: str  #: for people, as written
    zone: str  #: the IANA name in which its times are shown and rendered
    timeouts: Timeouts
    misfire_grace_ns: int
    coalesce: Coalesce
    max_instances: int
    overlap: Overlap
    expect_status: tuple[StatusRange, ...]
    then: tuple[Link, ...] = ()  #: what follows a run
    params: Mapping[str, Any]
    tags: tuple[str, ...]
    description: str | None
    suspended: bool
    place: Place
    unproven: CodeJob | None = None  #: by the ledger alone: an application's code must define it before it starts

    @property
    def runners(self) -> frozenset[RunnerKey]:
        """Where its Python runs."""
        keys = {RunnerKey(handler.app) for link in self.then for handler in link.handlers if isinstance(handler, Function)}
        if not isinstance(self.target, HttpTarget):
            keys.add(runner_of(self.target))
        elif self.target.prepare:
            keys.add(RunnerKey(self.target.app))
        return frozenset(keys)


def runner_of(target: FlaskTarget | CallTarget) -> RunnerKey:
    """Where a view or a function runs."""
    return RunnerKey(target.app, target.isolate if isinstance(target, CallTarget) else Isolate.THREAD)
