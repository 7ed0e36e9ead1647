"""
The language of the jobs file: its maps, their keys, and the type and the range of each value.

A value that is null is as if its key were not there. `tminus schema` prints these classes for editors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tminus.jobsfile.jobs import short_forms
from tminus.jobsfile.jobs.channels import CHANNEL_NAME, CHANNEL_NAMES, ChannelSpec, StartSloSpec
from tminus.jobsfile.types import maps
from tminus.jobsfile.types.at_times import AT, TIME_OF_DAY, LocalTime, TimeOfDay
from tminus.jobsfile.types.calendar_types import MOMENT, WINDOWS, CalendarSpec, TimeRange
from tminus.jobsfile.types.crons import CRON
from tminus.jobsfile.types.dst_types import DstSpec
from tminus.jobsfile.types.http_types import HEADER_NAME, HEADER_VALUE, METHOD, PATH, STATUS, VERSION
from tminus.jobsfile.types.maps import key, list_of, map_of, short, table_of, unchecked
from tminus.jobsfile.types.python_types import APP_OR_NAME, APPLICATION, REF
from tminus.jobsfile.types.retry_types import RETRY_REASON, RetryReason
from tminus.jobsfile.types.setting_types import FILE_VERSION, GROUP, LEAD, LEDGER, PARAM_NAME
from tminus.jobsfile.types.urls import URL
from tminus.jobsfile.types.values import (
    ANYTHING,
    BOOLEAN,
    ID,
    TEXT,
    WORD,
    duration,
    integer,
    number,
    one_of,
    or_auto,
    size,
)
from tminus.jobsfile.types.zones import ZONE
from tminus.model.definitions import KeepBody, Priority, Reload
from tminus.model.job import Isolate, StatusRange
from tminus.policies.coalesce import Coalesce
from tminus.policies.overlap import Overlap
from tminus.policies.retry import Jitter
from tminus.policies.unknown import OnUnknown

#: What a job has if nothing else is written; in the words of the file.
BUILT_IN: Mapping[str, Any] = {
    "timeout": {"connect": "3s", "total": "30s", "kill_after": "10s"},
    "misfire_grace_time": "30s",
    "coalesce": "latest",
    "catchup_window": "0s",
    "max_catchup": 100,
    "max_instances": 1,
    "overlap": "skip",
    "on_unknown": "alert",
    "retry": {
        "max_attempts": 1,
        "initial_interval": "2s",
        "backoff_coefficient": 2,
        "max_interval": "1m",
        "jitter": "full",
        "retry_on": ["connect", "timeout", 408, 425, 429, "5xx", "exception"],
        "respect_retry_after": True,
    },
    "http": {
        "method": "GET",
        "redirects": {"follow": 0},
        "http_version": "1.1",
        "max_body": "16MiB",
        "tls": {"insecure": False},
    },
    "expect": {"status": ["2xx"]},
    "dst": {"gap": "run_after", "overlap": "first"},
    "suspend": False,
}

_TIMEOUT = duration("0.1s", "24h", example="30s")
_INTERVAL = duration("0s", "24h", example="2s")
_LIMIT = or_auto(integer(1, 1_000_000), "1–1000000")
_WORDS = table_of(WORD)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectsSpec:
    """What is done about a redirect."""

    follow: int | None = key(integer(0, 20), "How many are followed. Built in: 0.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSpec:
    """How the server's certificate is checked."""

    ca: str | None = key(TEXT, "File of the authorities to trust instead of the system's.")
    insecure: bool | None = key(BOOLEAN, "Do not check at all. Built in: false.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSpec:
    """The content of a request. Texts may hold {{ … }} and ${…}."""

    method: str | None = key(METHOD, "Built in: GET.")
    query: dict[str, str] | None = key(_WORDS, "Added to the URL, encoded.")
    headers: dict[str, str] | None = key(table_of(HEADER_VALUE, HEADER_NAME), "Headers to send, by name.")
    json: Any = key(ANYTHING, "The body, sent as JSON.")
    form: dict[str, str] | None = key(_WORDS, "The body, sent as a form.")
    body: str | None = key(TEXT, "The body, sent as it is.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSpec(MessageSpec):
    """One HTTP request."""

    url: str | None = key(URL, "http or https.")
    body_file: str | None = key(TEXT, "A file that is the body; relative to the jobs file.")
    redirects: RedirectsSpec | None = key(map_of(RedirectsSpec), "What is done about a redirect.")
    http_version: str | None = key(VERSION, "Built in: 1.1.")
    max_body: int | None = key(
        size("1GiB", example="16MiB"), "How much of a response is read. Built in: 16MiB."
    )
    tls: TlsSpec | None = key(map_of(TlsSpec), "How the server's certificate is checked.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlaskSpec(MessageSpec):
    """A view of a Flask application, called through its whole WSGI stack."""

    app: str | None = key(APP_OR_NAME, "A name under apps, module:app or module:create_app().")
    endpoint: str | None = key(TEXT, "The view, as Flask names it.")
    args: dict[str, Any] | None = key(table_of(ANYTHING), "The arguments of the endpoint.")
    url: str | None = key(PATH, "Path and query, instead of an endpoint.")
    session: dict[str, Any] | None = key(
        table_of(ANYTHING), "The values of the session, such as a user's id."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextRequestSpec(MessageSpec):
    """The request whose context a function runs in."""

    path: str | None = key(PATH, "Built in: /.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSpec:
    """A Python function."""

    ref: str | None = key(REF, "module:function.")
    args: list[Any] | None = key(list_of(ANYTHING), "Its positional arguments.")
    kwargs: dict[str, Any] | None = key(table_of(ANYTHING), "Its arguments by name.")
    app: str | None = key(APP_OR_NAME, "The Flask application in whose contexts it runs.")
    request: ContextRequestSpec | None = key(
        map_of(ContextRequestSpec), "The request in whose context it runs."
    )
    isolate: Isolate | None = key(one_of(Isolate), "thread or process. Built in: thread.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSpec:
    """A Flask application, in a runner process of its own."""

    app: str | None = key(APPLICATION, "module:app or module:create_app().")
    python: str | None = key(TEXT, "The interpreter of its environment. Built in: the daemon's.")
    directory: str | None = key(TEXT, "Where it runs. Built in: next to the jobs file.")
    env_file: str | None = key(TEXT, "Lines of NAME=value.")
    env: list[str] | None = key(list_of(WORD), "The variables that it gets from the daemon's environment.")
    background: int | None = key(integer(1, 1000), "Background runs at once. Built in: 32.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerSpec:
    """What a link does with the value: call a function, or run a job."""

    call: str | None = key(REF, "module:function; it gets the value.")
    kwargs: dict[str, Any] | None = key(table_of(ANYTHING), "Its arguments by name.")
    app: str | None = key(APP_OR_NAME, "The application it runs in. Built in: the job's.")
    run: str | None = key(ID, "A job to start.")


_HANDLER = short(map_of(HandlerSpec), short_forms.handler, TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpec:
    """One step of what follows a run: a handler of its result, or of its failure."""

    callback: HandlerSpec | None = key(_HANDLER, "Gets a result; passed over if the value is a failure.")
    errback: HandlerSpec | None = key(_HANDLER, "Gets a failure; passed over if the value is a result.")
    both: HandlerSpec | None = key(_HANDLER, "Gets either.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutSpec:
    """How long each part of an attempt may take, from its start."""

    connect: int | None = key(_TIMEOUT, "Until the connection is open. Built in: 3s.")
    first_byte: int | None = key(_TIMEOUT, "Until the first byte of the response. Built in: no limit.")
    total: int | None = key(
        _TIMEOUT, "Until the last byte of the response, or the end of the function. Built in: 30s."
    )
    kill_after: int | None = key(_TIMEOUT, "From a timeout to the end of an isolated process. Built in: 10s.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySpec:
    """Whether a failed attempt is followed by another one, and when."""

    max_attempts: int | None = key(integer(1, 100), "With the first one. Built in: 1.")
    initial_interval: int | None = key(_INTERVAL, "The wait after the first attempt. Built in: 2s.")
    backoff_coefficient: float | None = key(
        number(1, 100), "How much longer each further wait is. Built in: 2."
    )
    max_interval: int | None = key(_INTERVAL, "The longest wait, Retry-After included. Built in: 1m.")
    jitter: Jitter | None = key(
        one_of(Jitter), "full: wait a random part of the interval; none: wait the whole interval."
    )
    retry_on: list[RetryReason] | None = key(
        list_of(RETRY_REASON),
        "Causes, status codes and classes, names of exceptions. "
        "Built in: [connect, timeout, 408, 425, 429, 5xx, exception].",
    )
    respect_retry_after: bool | None = key(BOOLEAN, "Wait as long as the server asks. Built in: true.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimesSpec:
    """When a job is due: one of cron, every, at and manual."""

    cron: str | None = key(CRON, "5 fields, or 6 with seconds first.")
    every: int | None = key(duration("1s", "366d", example="5m"), "Counted from 1970-01-01T00:00Z.")
    at: tuple[TimeOfDay | LocalTime, ...] | None = key(
        AT, '"HH:MM[:SS]" for every day, a date and time for once, or a list of them.'
    )
    manual: bool | None = key(BOOLEAN, "Only by hand.")
    timezone: str | None = key(ZONE, "IANA name. Built in: the file's.")
    jitter: int | None = key(
        duration("0s", "24h", example="30s"),
        "Each start is delayed by a part of this duration, chosen by job and fire time.",
    )
    between: tuple[tuple[int, int], ...] | None = key(
        WINDOWS, 'Only at these times of day: "08:00-18:00", or a list of them.'
    )
    except_: list[str] | None = key(
        short(list_of(TEXT), short_forms.several, TEXT), "Calendars: not on their days, nor in their ranges."
    )
    start: TimeRange | None = key(MOMENT, "A day, or a date and time: the first one that counts.")
    end: TimeRange | None = key(MOMENT, "A day, or a date and time: the last one that counts.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectSpec:
    """What makes a response a success."""

    status: list[StatusRange] | None = key(
        short(list_of(STATUS), short_forms.several, STATUS), "Codes and classes. Built in: [2xx]."
    )


_TIMES = short(map_of(TimesSpec), short_forms.schedule, TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A job, a template, or the defaults."""

    extends: list[str] | None = key(
        short(list_of(TEXT), short_forms.several, TEXT), "Templates to start from, in their order."
    )
    description: str | None = key(TEXT, "For people.")
    tags: list[str] | None = key(list_of(ID), "For commands: tag:NAME.")
    params: dict[str, Any] | None = key(
        table_of(ANYTHING, PARAM_NAME), "{{ params.NAME }}; run-now --set NAME=… overrides."
    )
    schedule: list[TimesSpec] | None = key(
        short(list_of(_TIMES), short_forms.several, _TIMES),
        "A cron text, manual, a map with cron, every or at, or a list: any of them.",
    )
    http: HttpSpec | None = key(
        short(map_of(HttpSpec), short_forms.http, TEXT), "The request; a URL is its short form."
    )
    flask: FlaskSpec | None = key(map_of(FlaskSpec), "A view of a Flask application.")
    call: CallSpec | None = key(
        short(map_of(CallSpec), short_forms.call, TEXT),
        "A Python function; module:function is its short form.",
    )
    timeout: TimeoutSpec | None = key(
        short(map_of(TimeoutSpec), short_forms.timeout, _TIMEOUT),
        "How long each part of an attempt may take; a duration alone is total.",
    )
    misfire_grace_time: int | None = key(
        duration("0s", "366d", example="30s"),
        "A later start is a misfire: the occurrence is missed. Built in: 30s.",
    )
    coalesce: Coalesce | None = key(
        one_of(Coalesce), "Which of several late fire times runs. Built in: latest."
    )
    catchup_window: int | None = key(
        duration("0s", "366d", example="20h"), "After downtime: run fire times this far back. Built in: 0s."
    )
    max_catchup: int | None = key(
        integer(1, 10_000), "With coalesce: all, this many late fire times run at most. Built in: 100."
    )
    not_after: TimeOfDay | None = key(
        TIME_OF_DAY, '"HH:MM[:SS]": no late start and no catch-up after this time of the day.'
    )
    finish_by: TimeOfDay | None = key(
        TIME_OF_DAY, '"HH:MM[:SS]": a warning, and a problem in status, if it has not finished by then.'
    )
    max_instances: int | None = key(integer(1, 10_000), "How many may run at once. Built in: 1.")
    overlap: Overlap | None = key(one_of(Overlap), "What happens at max_instances. Built in: skip.")
    on_unknown: OnUnknown | None = key(
        one_of(OnUnknown), "After a crash between start and result: alert or retry. Built in: alert."
    )
    retry: RetrySpec | None = key(map_of(RetrySpec), "Whether a failed attempt is followed by another one.")
    pause_on_failure: int | None = key(
        integer(1, 10_000), "After this many failures in a row the job is paused until it is resumed."
    )
    expect: ExpectSpec | None = key(map_of(ExpectSpec), "What makes a response a success.")
    dst: DstSpec | None = key(map_of(DstSpec), "A fixed time that a change of the clocks skips or repeats.")
    suspend: bool | None = key(BOOLEAN, "Not due until this is taken away. Built in: false.")
    notify: list[str] | None = key(CHANNEL_NAMES, "Channels that are told how it ends; under notify.")
    app: str | None = key(
        APP_OR_NAME, "The application for prepare, and for then, flask and call if they name none."
    )
    prepare: str | None = key(REF, "module:function that may change the HTTP request before T.")
    then: list[LinkSpec] | None = key(
        short(list_of(map_of(LinkSpec)), short_forms.several, map_of(LinkSpec)),
        "What follows a run: a chain in the manner of deferreds.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySpec:
    """What the ledger keeps."""

    keep: int | None = key(duration("1h", "3650d", example="90d"), "How long. Built in: 90d.")
    keep_last: int | None = key(
        integer(10, 1_000_000), "At most this many occurrences of each job. Built in: no limit."
    )
    body: KeepBody | None = key(one_of(KeepBody), "Which bodies are kept. Built in: on_failure.")
    max_body: int | None = key(size("16MiB", example="64KiB"), "How much of each. Built in: 64KiB.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSpec:
    """How the daemon works."""

    lead: int | None = key(LEAD, "From claim to T, at most 10s. Built in: auto.")
    lanes: int | None = key(_LIMIT, "Threads that send. Built in: auto.")
    priority: Priority | None = key(one_of(Priority), "auto: real-time around T where allowed.")
    max_connections: int | None = key(_LIMIT, "Built in: auto, from the descriptor limit.")
    shutdown_grace: int | None = key(duration("0s", "24h", example="30s"), "Built in: 30s.")
    ledger_group: str | None = key(GROUP, "The group that may open a SQLite ledger, too.")
    reload: Reload | None = key(one_of(Reload), "watch, or sighup only. Built in: watch.")
    history: HistorySpec | None = key(map_of(HistorySpec), "What the ledger keeps.")
    notify: list[str] | None = key(CHANNEL_NAMES, "Checks that are pinged each minute while it is well.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSpec:
    """A tminus jobs file, version 1."""

    version: int | None = key(FILE_VERSION, "The version of the language: 1.")
    timezone: str | None = key(ZONE, "IANA name. Built in: UTC.")
    include: list[str] | None = key(list_of(TEXT), "Further files, relative to this one; * and ? match.")
    ledger: str | None = key(LEDGER, "An SQLAlchemy URL.")
    daemon: DaemonSpec | None = key(map_of(DaemonSpec), "How the daemon works.")
    apps: dict[str, AppSpec] | None = key(
        table_of(map_of(AppSpec), ID, null=False), "Flask applications; each gets a process of its own."
    )
    notify: dict[str, ChannelSpec] | None = key(
        table_of(map_of(ChannelSpec), CHANNEL_NAME, null=False), "Channels for notifications, by name."
    )
    start_slo: StartSloSpec | None = key(map_of(StartSloSpec), "Tell of batches that start later than this.")
    calendars: dict[str, CalendarSpec] | None = key(
        table_of(map_of(CalendarSpec), ID, null=False), "Days and times at which jobs are not due, by name."
    )
    defaults: None = key(unchecked(map_of(JobSpec)), "Merged into every job, deeply.")
    templates: None = key(unchecked(table_of(map_of(JobSpec))), "Merged into the jobs that extend them.")
    jobs: None = key(unchecked(table_of(map_of(JobSpec))), "The jobs, by name.")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the jobs file, for editors and for `tminus schema`."""
    return maps.json_schema(FileSpec)
