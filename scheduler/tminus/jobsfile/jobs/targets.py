"""From the maps `http`, `flask` and `call` to targets, and checks between their keys."""

from collections.abc import Iterator
from typing import Any

from tminus.errors import shorten
from tminus.http_rules.syntax import WITHOUT_BODY
from tminus.http_rules.urls import BLANK, forbidden_address
from tminus.jobsfile.jobs import schema
from tminus.jobsfile.jobs.external_references import ExternalReferences
from tminus.jobsfile.jobs.schema import HttpSpec
from tminus.jobsfile.text.faults import Fault, exclusive_keys, key_fault
from tminus.jobsfile.text.problems import Severity
from tminus.model.job import CallTarget, ContextRequest, FlaskTarget, HttpTarget, Target, Tls
from tminus.templates import blanked, has_parts

_BODIES = ("json", "form", "body", "body_file")


def build_target(job: schema.JobSpec, external: ExternalReferences) -> Target:
    """
    Return the target of a job, which must have no faults. A missing key has the value that the target's class
    has for it.
    """
    if job.flask is not None:
        return FlaskTarget(
            **_message(job.flask),
            **_present(job.flask, "endpoint", "url", "args", "session"),
            app=job.flask.app or job.app or "",
        )
    if job.call is not None:
        options = _present(job.call, "ref", "args", "kwargs", "isolate")
        if job.call.request is not None:
            options["request"] = ContextRequest(
                **_message(job.call.request), **_present(job.call.request, "path")
            )
        return CallTarget(**options, app=job.call.app or job.app)
    return _http_target(job.http or HttpSpec(), external, **_present(job, "app", "prepare"))


def _http_target(http: HttpSpec, external: ExternalReferences, **app_and_prepare: str) -> HttpTarget:
    options = app_and_prepare | _present(http, "url", "http_version", "max_body")
    if http.body_file is not None:
        options["body_file"] = external.absolute(http.body_file)
    if http.redirects and http.redirects.follow is not None:
        options["follow"] = http.redirects.follow
    if http.tls:
        ca = external.absolute(http.tls.ca) if http.tls.ca is not None else None
        options["tls"] = Tls(ca=ca, insecure=bool(http.tls.insecure))
    return HttpTarget(**_message(http), **options)


def _message(message: schema.MessageSpec) -> dict[str, Any]:
    options = _present(message, "method", "body")
    options |= {
        key: _without_nulls(value) for key, value in _present(message, "query", "headers", "form").items()
    }
    if message.json is not None:
        options |= {"json": message.json, "has_json": True}
    return options


def _present(model: Any, *keys: str) -> dict[str, Any]:
    return {key: value for key in keys if (value := getattr(model, key)) is not None}


def flask_faults(flask: schema.FlaskSpec, *, has_app: bool, knows_method: bool = True) -> Iterator[Fault]:
    """Yield what is wrong between the keys of a `flask:` map; paths begin below `flask`."""
    yield from _message_faults(flask, knows_method=knows_method)
    if not has_app:
        yield Fault(message="no app", hint="write app: a name under apps:, or module:app")
    if flask.endpoint is not None and flask.url is not None:
        yield exclusive_keys((), ("endpoint", "url"), hint="keep one of them")
    if flask.args and flask.endpoint is None:
        hint = "write endpoint:, or put them into the url"
        yield key_fault(("args",), "args belong to an endpoint", hint=hint)


def call_faults(call: schema.CallSpec, *, has_app: bool, knows_method: bool = True) -> Iterator[Fault]:
    """Yield what is wrong between the keys of a `call:` map; paths begin below `call`."""
    if call.request is not None:
        yield from (
            fault.under("request") for fault in _message_faults(call.request, knows_method=knows_method)
        )
        if not has_app:
            yield Fault(
                message="a request without an app",
                path=("request",),
                on_key=True,
                hint="write app: a name under apps:, or module:app",
            )


def http_faults(
    http: HttpSpec, external: ExternalReferences, *, knows_method: bool = True
) -> Iterator[Fault]:
    """
    Yield what is wrong between the keys of an `http:` map, and with its files; paths begin below `http`.

    Args:
        http: The map.
        external: Knows whether the files can be read.
        knows_method: Whether the method in the file is valid or missing.
    """
    yield from _message_faults(http, knows_method=knows_method)
    for path, name in ((("body_file",), http.body_file), (("tls", "ca"), http.tls.ca if http.tls else None)):
        if name is not None and has_parts(name):
            yield Fault(
                message="a path holds no {{ … }} and no ${…}",
                path=path,
                hint="write the path itself",
            )
        elif name is not None and (fault := external.file_fault(name)):
            yield fault.under(*path)
    if http.tls and http.tls.insecure:
        message = "the server's certificate is not checked; anyone on the way can read and change the request"
        yield Fault(
            message=message,
            path=("tls", "insecure"),
            hint="give tls.ca the file of its authority",
            severity=Severity.WARNING,
        )
    if http.url is not None and (address := forbidden_address(blanked(http.url, BLANK))):
        yield Fault(
            message=f"url: {address} is a forbidden address, and will fail (blocked_address)",
            path=("url",),
            hint="addresses that are link-local, metadata, multicast or unspecified are never called",
            of_owner=True,
            severity=Severity.WARNING,
        )


def _message_faults(message: schema.MessageSpec, *, knows_method: bool) -> Iterator[Fault]:
    yield from _body_faults(message, knows_method=knows_method)
    yield from _header_faults(message)


def _body_faults(request: schema.MessageSpec, *, knows_method: bool) -> Iterator[Fault]:
    bodies = [name for name in _BODIES if getattr(request, name, None) is not None]
    if len(bodies) > 1:
        yield exclusive_keys((), bodies, hint="a request has one body")
    method = request.method or "GET"
    if bodies and knows_method and method in WITHOUT_BODY:
        hint = "write method: POST, or put the values under query:"
        yield key_fault((bodies[0],), f"method {method} has no body", hint=hint)


def _header_faults(request: schema.MessageSpec) -> Iterator[Fault]:
    seen: dict[str, str] = {}
    for name in request.headers or ():
        earlier = seen.setdefault(name.lower(), name)
        if earlier != name:
            message = f"{shorten(name)} is the same header as {shorten(earlier)}"
            yield key_fault(("headers", name), message, hint="keep one of them")


def _without_nulls(values: dict[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in values.items() if value is not None}
