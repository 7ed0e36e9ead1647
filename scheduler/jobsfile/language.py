"""
The language of the jobs file as pydantic models: keys, types and ranges. The JSON Schema for editors comes from them.

Every key may be null, which is as if it were not there. A key that is still to come takes only its built-in value.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from scheduler.jobsfile import short_forms
from scheduler.jobsfile.crons import CRON
from scheduler.jobsfile.http_syntax import HEADER_NAME, HEADER_VALUE, METHOD, PATH, STATUS, VERSION
from scheduler.jobsfile.python_kinds import APP, APP_NAME, APPLICATION, REF
from scheduler.jobsfile.setting_kinds import FILE_VERSION, GROUP, LEAD, LEDGER, ONE_ATTEMPT, PARAM_NAME
from scheduler.jobsfile.times import AT
from scheduler.jobsfile.urls import URL
from scheduler.jobsfile.values import NAME, NAME_HINT, Kind, auto_or, built_in_only, duration, integer, one_of, size, text, word
from scheduler.jobsfile.zones import ZONE
from scheduler.model.definitions import KeepBody, Priority, Reload
from scheduler.model.job import Isolate, StatusRange
from scheduler.policies.coalesce import Coalesce
from scheduler.policies.overlap import Overlap

#: What a job has where nothing is written; in the words of the file.
BUILT_IN: Mapping[str, Any] = {
    "timeout": {"connect": "3s", "total": "30s", "kill_after": "10s"},
    "misfire_grace_time": "30s",
    "coalesce": "latest",
    "max_instances": 1,
    "overlap": "skip",
    "retry": {"max_attempts": 1},
    "http": {"method": "GET", "redirects": {"follow": 0}, "http_version": "1.1", "max_body": "16MiB", "tls": {"insecure": False}},
    "expect": {"status": ["2xx"]},
    "suspend": False,
}


class Of:
    """Validates by a `Kind`; null passes."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.nullable_schema(core_schema.no_info_plain_validator_function(self._kind.parse))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [dict(self._kind.schema), {"type": "null"}]}


class _Later(Of):
    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**super().__get_pydantic_json_schema__(schema, handler), "$comment": "not in this version yet"}


def later(built_in: Any = None) -> Of:
    """A key that this version does not have yet."""
    return _Later(built_in_only(built_in))


_TIMEOUT = duration("0.1s", "24h", "30s")
_COALESCE = one_of({"latest": Coalesce.LATEST}, later=("earliest", "all"))
_OVERLAP = one_of({"skip": Overlap.SKIP, "allow_all": Overlap.ALLOW_ALL}, later=("buffer_one", "buffer_all", "cancel_other"))
_KEEP_BODY = one_of({body.value: body for body in KeepBody})
_PRIORITY = one_of({priority.value: priority for priority in Priority})
_ISOLATE = one_of({isolate.value: isolate for isolate in Isolate})
_RELOAD = one_of({reload.value: reload for reload in Reload})
_TAG = text(NAME, f"match {NAME}", hint=NAME_HINT)

Span = Annotated[int | None, Of(_TIMEOUT)]
Words = Annotated[dict[str, Annotated[str | None, Of(word())]] | None, Field()]
Limit = Annotated[int | str | None, Of(auto_or(integer(1, 1_000_000)))]


_AnyStatus = Annotated[StatusRange | None, Of(STATUS)]


class Map(BaseModel):
    """A map of the file."""

    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=(), defer_build=True)


class Redirects(Map):
    """What is done about a redirect."""

    follow: Annotated[int | None, Of(integer(0, 20)), Field(description="How many are followed. Built in: 0.")] = None
    same_host: Annotated[Any, later(), Field(description="Only to the same host.")] = None


class Tls(Map):
    """How the server's certificate is checked."""

    ca: Annotated[str | None, Field(description="File of the authorities to trust instead of the system's.")] = None
    insecure: Annotated[bool | None, Field(description="Do not check at all. Built in: false.")] = None
    cert: Annotated[Any, later(), Field(description="File of our certificate.")] = None
    key: Annotated[Any, later(), Field(description="File of our certificate's key.")] = None
    min: Annotated[Any, later(), Field(description="The lowest version.")] = None
    warn_expiry: Annotated[Any, later(), Field(description="How long before its end a certificate is worth a warning.")] = None


class Message(Map):
    """What a request says. Texts may hold {{ … }} and ${…}."""

    method: Annotated[str | None, Of(METHOD), Field(description="Built in: GET.")] = None
    query: Annotated[Words, Field(description="Added to the URL, encoded.")] = None
    headers: Annotated[
        dict[Annotated[str, Of(HEADER_NAME)], Annotated[str | None, Of(HEADER_VALUE)]] | None, Field(description="The job's own.")
    ] = None
    json_: Annotated[Any, Field(alias="json", description="The body, sent as JSON.")] = None
    form: Annotated[Words, Field(description="The body, sent as a form.")] = None
    body: Annotated[str | None, Field(description="The body, sent as it is.")] = None


class Http(Message):
    """One HTTP request."""

    url: Annotated[str | None, Of(URL), Field(description="Where to; http or https.")] = None
    body_file: Annotated[str | None, Field(description="A file that is the body; relative to the jobs file.")] = None
    redirects: Annotated[Redirects | None, Field(description="What is done about a redirect.")] = None
    http_version: Annotated[str | None, Of(VERSION), Field(description="Built in: 1.1.")] = None
    max_body: Annotated[
        int | None, Of(size("1GiB", "16MiB")), Field(description="How much of an answer is read. Built in: 16MiB.")
    ] = None
    tls: Annotated[Tls | None, Field(description="How the server's certificate is checked.")] = None
    auth: Annotated[Any, later(), Field(description="Credentials.")] = None
    proxy: Annotated[Any, later(), Field(description="URL of a proxy.")] = None
    cookies: Annotated[Any, later(), Field(description="A session kept between runs.")] = None


class Flask(Message):
    """A view of a Flask application, called through its whole WSGI stack."""

    app: Annotated[str | None, Of(APP), Field(description="A name under apps, module:app or module:create_app().")] = None
    endpoint: Annotated[str | None, Field(description="The view, as Flask names it.")] = None
    args: Annotated[dict[str, Any] | None, Field(description="Of the endpoint.")] = None
    url: Annotated[str | None, Of(PATH), Field(description="Path and query, instead of an endpoint.")] = None


class Surroundings(Message):
    """The request that a function finds around it."""

    path: Annotated[str | None, Of(PATH), Field(description="Built in: /.")] = None


class Call(Map):
    """A Python function."""

    ref: Annotated[str | None, Of(REF), Field(description="module:function.")] = None
    args: Annotated[list[Any] | None, Field(description="Its positional arguments.")] = None
    kwargs: Annotated[dict[str, Any] | None, Field(description="Its arguments by name.")] = None
    app: Annotated[str | None, Of(APP), Field(description="The Flask application whose contexts surround it.")] = None
    request: Annotated[Surroundings | None, Field(description="The request that it finds around it.")] = None
    isolate: Annotated[Isolate | None, Of(_ISOLATE), Field(description="thread or process. Built in: thread.")] = None


class App(Map):
    """A Flask application, in a runner process of its own."""

    app: Annotated[str | None, Of(APPLICATION), Field(description="module:app or module:create_app().")] = None
    python: Annotated[str | None, Field(description="The interpreter of its environment. Built in: this one.")] = None
    directory: Annotated[str | None, Field(description="Where it runs. Built in: beside the jobs file.")] = None
    env_file: Annotated[str | None, Field(description="Lines of NAME=value.")] = None
    env: Annotated[list[Annotated[str, Of(word())]] | None, Field(description="Names that it has of the daemon's.")] = None
    background: Annotated[int | None, Of(integer(1, 1000)), Field(description="Background runs at once. Built in: 32.")] = None


class Handler(Map):
    """What a link does with what flows: call a function, or run a job."""

    call: Annotated[str | None, Of(REF), Field(description="module:function; it gets what flows.")] = None
    kwargs: Annotated[dict[str, Any] | None, Field(description="Its arguments by name.")] = None
    app: Annotated[str | None, Of(APP), Field(description="The application it runs in. Built in: the job's.")] = None
    run: Annotated[str | None, Of(_TAG), Field(description="A job to start.")] = None


_Handler = Annotated[Handler | None, BeforeValidator(short_forms.handler, json_schema_input_type=str | Handler)]


class Link(Map):
    """What follows a run: who takes its result, who its failure."""

    callback: Annotated[_Handler, Field(description="Gets a result; passed over while that is a failure.")] = None
    errback: Annotated[_Handler, Field(description="Gets a failure; passed over while that is a result.")] = None
    both: Annotated[_Handler, Field(description="Gets either.")] = None


class Timeout(Map):
    """How long each part of an attempt may take, from its start."""

    connect: Annotated[Span, Field(description="Until the connection stands. Built in: 3s.")] = None
    first_byte: Annotated[Span, Field(description="Until the first byte of the answer. Built in: no limit.")] = None
    total: Annotated[Span, Field(description="Until the last byte of the answer. Built in: 30s.")] = None
    kill_after: Annotated[Span, Field(description="From a timeout to the end of an isolated process. Built in: 10s.")] = None


class Times(Map):
    """When a job is due: one of cron, every, at and manual."""

    cron: Annotated[str | None, Of(CRON), Field(description="5 fields, or 6 with seconds first.")] = None
    every: Annotated[int | None, Of(duration("1s", "366d", "5m")), Field(description="Counted from 1970-01-01T00:00Z.")] = None
    at: Annotated[Any, Of(AT), Field(description='"HH:MM[:SS]" for every day, a date and time for once, or a list of them.')] = (
        None
    )
    manual: Annotated[bool | None, Field(description="Only by hand.")] = None
    timezone: Annotated[str | None, Of(ZONE), Field(description="IANA name. Built in: the file's.")] = None
    jitter: Annotated[Any, later(), Field(description="A random delay, up to this.")] = None
    between: Annotated[Any, later(), Field(description="Only at these times of day.")] = None
    except_: Annotated[Any, later(), Field(alias="except", description="Not on these calendars' days.")] = None


class Expect(Map):
    """What makes an answer a success."""

    status: Annotated[
        list[_AnyStatus] | None,
        BeforeValidator(short_forms.several, json_schema_input_type=list[_AnyStatus] | _AnyStatus),
        Field(description="Codes and classes. Built in: [2xx]."),
    ] = None
    json_: Annotated[Any, later(), Field(alias="json", description="What the answer's JSON must be.")] = None
    not_body: Annotated[Any, later(), Field(description="What the answer must not hold.")] = None
    within: Annotated[Any, later(), Field(description="How fast.")] = None


class Retry(Map):
    """Further attempts."""

    max_attempts: Annotated[Any, Of(ONE_ATTEMPT), Field(description="With the first one. Built in: 1.")] = None
    initial_interval: Annotated[Any, later("2s"), Field(description="Before the second attempt.")] = None
    backoff_coefficient: Annotated[Any, later(2), Field(description="How much longer before each further one.")] = None
    max_interval: Annotated[Any, later("1m"), Field(description="The longest interval.")] = None
    jitter: Annotated[Any, later("full"), Field(description="A random part of the interval.")] = None
    retry_on: Annotated[Any, later(["connect", "timeout", 408, 425, 429, "5xx"]), Field(description="After what.")] = None
    respect_retry_after: Annotated[Any, later(True), Field(description="Whether Retry-After is obeyed.")] = None


def _schedules(value: Any) -> Any:
    return short_forms.several(short_forms.schedule(value))


class Job(Map):
    """A job, a template, or the defaults."""

    extends: Annotated[
        list[str] | None,
        BeforeValidator(short_forms.several, json_schema_input_type=str | list[str]),
        Field(description="Templates to start from, in their order."),
    ] = None
    description: Annotated[str | None, Field(description="For people.")] = None
    tags: Annotated[list[Annotated[str, Of(_TAG)]] | None, Field(description="For commands: tag:NAME.")] = None
    params: Annotated[
        dict[Annotated[str, Of(PARAM_NAME)], Any] | None, Field(description="{{ params.NAME }}; run-now --set NAME=… overrides.")
    ] = None
    schedule: Annotated[
        list[Times] | None,
        BeforeValidator(_schedules, json_schema_input_type=str | Times | list[str | Times]),
        Field(description="A cron text, manual, a map with cron, every or at, or a list: any of them."),
    ] = None
    http: Annotated[
        Http | None,
        BeforeValidator(short_forms.http, json_schema_input_type=str | Http),
        Field(description="The request; a URL is its short form."),
    ] = None
    flask: Annotated[Flask | None, Field(description="A view of a Flask application.")] = None
    call: Annotated[
        Call | None,
        BeforeValidator(short_forms.call, json_schema_input_type=str | Call),
        Field(description="A Python function; module:function is its short form."),
    ] = None
    timeout: Annotated[
        Timeout | None,
        BeforeValidator(short_forms.timeout, json_schema_input_type=Span | Timeout),
        Field(description="A duration is its total."),
    ] = None
    misfire_grace_time: Annotated[
        int | None, Of(duration("0s", "366d", "30s")), Field(description="Later than this is missed. Built in: 30s.")
    ] = None
    coalesce: Annotated[
        Coalesce | None, Of(_COALESCE), Field(description="Which of several late fire times runs. Built in: latest.")
    ] = None
    max_instances: Annotated[int | None, Of(integer(1, 10_000)), Field(description="How many may run at once. Built in: 1.")] = (
        None
    )
    overlap: Annotated[Overlap | None, Of(_OVERLAP), Field(description="What happens at that limit. Built in: skip.")] = None
    retry: Annotated[Retry | None, Field(description="Further attempts.")] = None
    expect: Annotated[Expect | None, Field(description="What makes an answer a success.")] = None
    suspend: Annotated[bool | None, Field(description="Not due until this is taken away. Built in: false.")] = None
    group: Annotated[Any, later(), Field(description="The group that it belongs to.")] = None
    matrix: Annotated[Any, later(), Field(description="One job for each combination of values.")] = None
    app: Annotated[str | None, Of(APP), Field(description="The application whose Python it uses; a name under apps.")] = None
    prepare: Annotated[str | None, Of(REF), Field(description="module:function that may change the HTTP request before T.")] = (
        None
    )
    then: Annotated[
        list[Link] | None,
        BeforeValidator(short_forms.several, json_schema_input_type=list[Link] | Link),
        Field(description="What follows a run: a chain in the manner of deferreds."),
    ] = None
    after: Annotated[Any, later(), Field(description="The jobs that it follows.")] = None
    save: Annotated[Any, later(), Field(description="Values to keep from the answer.")] = None
    poll: Annotated[Any, later(), Field(description="Where to ask for the end of a long run.")] = None
    start: Annotated[Any, later("together"), Field(description="together, {spread: 2m} or {stagger: 50ms}.")] = None
    arm: Annotated[Any, later("connect"), Field(description="connect or none.")] = None
    catchup_window: Annotated[Any, later("0s"), Field(description="After downtime, how far back to run.")] = None
    max_catchup: Annotated[Any, later(100), Field(description="How many occurrences a catch-up runs.")] = None
    on_unknown: Annotated[Any, later("alert"), Field(description="After a crash between start and answer.")] = None
    dst: Annotated[
        Any, later({"gap": "run_after", "overlap": "first"}), Field(description="When the clocks are put forward or back.")
    ] = None
    notify: Annotated[Any, later(), Field(description="Who is told.")] = None
    pause_on_failure: Annotated[Any, later(), Field(description="Failures in a row that pause it.")] = None
    not_after: Annotated[Any, later(), Field(description="The latest time of day for a catch-up.")] = None
    finish_by: Annotated[Any, later(), Field(description="When a run is to be finished.")] = None


class Kept(Map):
    """What the ledger keeps."""

    keep: Annotated[int | None, Of(duration("1h", "3650d", "90d")), Field(description="How long. Built in: 90d.")] = None
    body: Annotated[KeepBody | None, Of(_KEEP_BODY), Field(description="Which answers. Built in: on_failure.")] = None
    max_body: Annotated[int | None, Of(size("16MiB", "64KiB")), Field(description="Of each. Built in: 64KiB.")] = None


class Daemon(Map):
    """How the daemon works."""

    lead: Annotated[int | str | None, Of(LEAD), Field(description="From claim to T, at most 10s. Built in: auto.")] = None
    lanes: Annotated[Limit, Field(description="Threads that send. Built in: auto.")] = None
    priority: Annotated[Priority | None, Of(_PRIORITY), Field(description="auto: real-time around T where allowed.")] = None
    max_connections: Annotated[Limit, Field(description="Built in: auto, from the descriptor limit.")] = None
    shutdown_grace: Annotated[int | None, Of(duration("0s", "24h", "30s")), Field(description="Built in: 30s.")] = None
    ledger_group: Annotated[str | None, Of(GROUP), Field(description="Who else may open a SQLite ledger.")] = None
    reload: Annotated[Reload | None, Of(_RELOAD), Field(description="watch, or sighup only. Built in: watch.")] = None
    history: Annotated[Kept | None, Field(description="What the ledger keeps.")] = None
    max_per_host: Annotated[Any, later(), Field(description="Connections to one host at T.")] = None
    clock: Annotated[Any, later({"step_threshold": "2s", "require_sync": "warn"}), Field(description="The clock watch.")] = None
    web: Annotated[Any, later(), Field(description="The dashboard.")] = None


class Settings(Map):
    """The top of a file, without what goes into jobs."""

    version: Annotated[Any, Of(FILE_VERSION), Field(description="Of the language: 1.")] = None
    timezone: Annotated[str | None, Of(ZONE), Field(description="IANA name. Built in: UTC.")] = None
    include: Annotated[list[str] | None, Field(description="Further files, relative to this one; * and ? match.")] = None
    ledger: Annotated[str | None, Of(LEDGER), Field(description="An SQLAlchemy URL.")] = None
    daemon: Annotated[Daemon | None, Field(description="How the daemon works.")] = None
    apps: Annotated[
        dict[Annotated[str, Of(APP_NAME)], App] | None, Field(description="Flask applications; each gets a process of its own.")
    ] = None
    start_slo: Annotated[Any, later(), Field(description="How punctual a batch must be.")] = None
    calendars: Annotated[Any, later(), Field(description="Holidays and freezes.")] = None
    notify: Annotated[Any, later(), Field(description="Who is told, and how.")] = None
    groups: Annotated[Any, later(), Field(description="Jobs with one schedule and one end.")] = None


class File(Settings):
    """A tminus jobs file, version 1."""

    defaults: Annotated[Job | None, Field(description="Merged into every job, deeply.")] = None
    templates: Annotated[dict[str, Job] | None, Field(description="Merged into the jobs that extend them.")] = None
    jobs: Annotated[dict[str, Job] | None, Field(description="The jobs, by name.")] = None


AnyMap = TypeVar("AnyMap", bound=Map)


def check(model: type[AnyMap], value: Any) -> tuple[AnyMap | None, list[Any]]:
    """The model of a value, or pydantic's errors."""
    try:
        return model.model_validate(value), []
    except ValidationError as error:
        return None, error.errors(include_url=False)


def keys_of(model: type[Map], path: Sequence[str | int]) -> dict[str, bool]:
    """The keys that the map at a path of a model may have, and whether this version has them."""
    for step in path:
        model = next((inner for name, inner in _inner_maps(model) if name == step), model)
    fields = model.model_fields.items()
    return {field.alias or name: not any(isinstance(item, _Later) for item in field.metadata) for name, field in fields}


def _inner_maps(model: type[Map]) -> Iterator[tuple[str, type[Map]]]:
    for name, field in model.model_fields.items():
        left = [field.annotation]
        while left:
            found = left.pop()
            left += get_args(found)
            if isinstance(found, type) and issubclass(found, Map):
                yield field.alias or name, found


def json_schema() -> dict[str, Any]:
    """The language as JSON Schema (draft 2020-12), for editors and for `tminus schema`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **File.model_json_schema(by_alias=True)}
