"""From the maps `http`, `flask` and `call` to what they describe; and what their keys do not allow together."""

from collections.abc import Iterator
from typing import Any

from scheduler.errors import shorten
from scheduler.jobsfile import language, urls
from scheduler.jobsfile.faults import Fault
from scheduler.jobsfile.http_syntax import WITHOUT_BODY
from scheduler.jobsfile.language import Http
from scheduler.jobsfile.outside import Outside
from scheduler.jobsfile.problems import Severity
from scheduler.model.job import CallTarget, FlaskTarget, HttpTarget, Surroundings, Target, Tls
from scheduler.templates import has_parts

_BODIES = ("json", "form", "body", "body_file")


def target_of(job: language.Job, outside: Outside) -> Target:
    """What a job without faults does; what is not given is as in the target's class."""
    if job.flask is not None:
        return FlaskTarget(
            **_message(job.flask), **_given(job.flask, "endpoint", "url", "args"), app=job.flask.app or job.app or ""
        )
    if job.call is not None:
        given = _given(job.call, "ref", "args", "kwargs", "isolate")
        if job.call.request is not None:
            given["request"] = Surroundings(**_message(job.call.request), **_given(job.call.request, "path"))
        return CallTarget(**given, app=job.call.app or job.app)
    return _http_target(job.http or Http(), outside, **_given(job, "app", "prepare"))


def _http_target(http: Http, outside: Outside, **python: str) -> HttpTarget:
    given = python | _given(http, "url", "http_version", "max_body")
    if http.body_file is not None:
        given["body_file"] = outside.absolute(http.body_file)
    if http.redirects and http.redirects.follow is not None:
        given["follow"] = http.redirects.follow
    if http.tls:
        ca = outside.absolute(http.tls.ca) if http.tls.ca is not None else None
        given["tls"] = Tls(ca=ca, insecure=bool(http.tls.insecure))
    return HttpTarget(**_message(http), **given)


def _message(message: language.Message) -> dict[str, Any]:
    given = _given(message, "method", "body")
    given |= {key: _without_nulls(value) for key, value in _given(message, "query", "headers", "form").items()}
    if message.json_ is not None:
        given |= {"json": message.json_, "has_json": True}
    return given


def _given(model: language.Map, *keys: str) -> dict[str, Any]:
    return {key: value for key in keys if (value := getattr(model, key)) is not None}


def flask_faults(flask: language.Flask, *, has_app: bool, knows_method: bool = True) -> Iterator[Fault]:
    """What is wrong between the keys of a `flask:` map; paths begin below `flask`."""
    yield from _message_faults(flask, knows_method=knows_method)
    if not has_app:
        yield Fault(words="no app", hint="write app: a name under apps:, or module:app")
    if flask.endpoint is not None and flask.url is not None:
        yield Fault(words="give endpoint or url, not both", path=("url",), on_key=True, of_owner=True, hint="keep one of them")
    if flask.args and flask.endpoint is None:
        words = "args are of an endpoint"
        yield Fault(words=words, path=("args",), on_key=True, of_owner=True, hint="write endpoint:, or put them into the url")


def call_faults(call: language.Call, *, has_app: bool, knows_method: bool = True) -> Iterator[Fault]:
    """What is wrong between the keys of a `call:` map; paths begin below `call`."""
    if call.request is not None:
        yield from (fault.under("request") for fault in _message_faults(call.request, knows_method=knows_method))
        if not has_app:
            words = "a request without an app"
            yield Fault(words=words, path=("request",), on_key=True, hint="write app: a name under apps:, or module:app")


def http_faults(http: Http, outside: Outside, *, knows_method: bool = True) -> Iterator[Fault]:
    """
    What is wrong between the keys of an `http:` map, and with the files that it names; paths begin below `http`.

    Args:
        http: The map.
        outside: Knows whether the files can be read.
        knows_method: False where the method in the file was no method.
    """
    yield from _message_faults(http, knows_method=knows_method)
    for path, name in ((("body_file",), http.body_file), (("tls", "ca"), http.tls.ca if http.tls else None)):
        if name is not None and has_parts(name):
            yield Fault(words="{{ … }} and ${…} in a path are not in this version yet", path=path, hint="write the path itself")
        elif name is not None and (fault := outside.file_fault(name)):
            yield fault.under(*path)
    if http.tls and http.tls.insecure:
        words = "the server's certificate is not checked; anyone on the way can read and change the request"
        yield Fault(
            words=words, path=("tls", "insecure"), hint="give tls.ca the file of its authority", severity=Severity.WARNING
        )
    if http.url is not None and (address := urls.never_reached(http.url)):
        words = f"url: {address} is a link-local or metadata address, and will fail (blocked_address)"
        yield Fault(words=words, path=("url",), hint="give the host's own name", of_owner=True, severity=Severity.WARNING)


def _message_faults(message: language.Message, *, knows_method: bool) -> Iterator[Fault]:
    yield from _body_faults(message, knows_method=knows_method)
    yield from _header_faults(message)


def _body_faults(http: language.Message, *, knows_method: bool) -> Iterator[Fault]:
    bodies = [name for name in _BODIES if getattr(http, "json_" if name == "json" else name, None) is not None]
    if len(bodies) > 1:
        words = f"give {', '.join(bodies[:-1])} or {bodies[-1]}, not {'both' if len(bodies) == 2 else 'all'}"
        yield Fault(words=words, path=(bodies[-1],), hint="a request has one body", on_key=True, of_owner=True)
    method = http.method or "GET"
    if bodies and knows_method and method in WITHOUT_BODY:
        words = f"method {method} has no body"
        yield Fault(
            words=words, path=(bodies[0],), on_key=True, of_owner=True, hint="write method: POST, or put the values under query:"
        )


def _header_faults(http: language.Message) -> Iterator[Fault]:
    seen: dict[str, str] = {}
    for name in http.headers or ():
        earlier = seen.setdefault(name.lower(), name)
        if earlier != name:
            words = f"{shorten(name)} is the same header as {shorten(earlier)}"
            yield Fault(words=words, path=("headers", name), on_key=True, of_owner=True, hint="keep one of them")


def _without_nulls(values: dict[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in values.items() if value is not None}
