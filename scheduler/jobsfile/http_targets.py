"""From an `http:` map to the request that it describes; and what its keys do not allow together."""

from collections.abc import Iterator
from typing import Any

from scheduler.jobsfile import urls
from scheduler.jobsfile.faults import Fault
from scheduler.jobsfile.http_syntax import WITHOUT_BODY
from scheduler.jobsfile.language import Http
from scheduler.jobsfile.outside import Outside
from scheduler.jobsfile.problems import Severity
from scheduler.model.job import HttpTarget, Tls
from scheduler.templates import has_parts

_AS_THEY_ARE = ("url", "method", "body", "http_version", "max_body")
_BODIES = ("json", "form", "body", "body_file")


def http_target(http: Http, outside: Outside) -> HttpTarget:
    """The request; what is not given is as in `HttpTarget`. There must be a URL."""
    given: dict[str, Any] = {key: value for key in _AS_THEY_ARE if (value := getattr(http, key)) is not None}
    given |= {key: _without_nulls(value) for key in ("query", "headers", "form") if (value := getattr(http, key)) is not None}
    if http.json_ is not None:
        given |= {"json": http.json_, "has_json": True}
    if http.body_file is not None:
        given["body_file"] = outside.absolute(http.body_file)
    if http.redirects and http.redirects.follow is not None:
        given["follow"] = http.redirects.follow
    if http.tls:
        ca = outside.absolute(http.tls.ca) if http.tls.ca is not None else None
        given["tls"] = Tls(ca=ca, insecure=bool(http.tls.insecure))
    return HttpTarget(**given)


def http_faults(http: Http, outside: Outside, *, knows_method: bool = True) -> Iterator[Fault]:
    """
    What is wrong between the keys of an `http:` map, and with the files that it names; paths begin below `http`.

    Args:
        http: The map.
        outside: Knows whether the files can be read.
        knows_method: False where the method in the file was no method.
    """
    yield from _body_faults(http, knows_method=knows_method)
    yield from _header_faults(http)
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


def _body_faults(http: Http, *, knows_method: bool) -> Iterator[Fault]:
    bodies = [name for name in _BODIES if getattr(http, "json_" if name == "json" else name) is not None]
    if len(bodies) > 1:
        words = f"give {', '.join(bodies[:-1])} or {bodies[-1]}, not {'both' if len(bodies) == 2 else 'all'}"
        yield Fault(words=words, path=(bodies[-1],), hint="a request has one body", on_key=True, of_owner=True)
    method = http.method or "GET"
    if bodies and knows_method and method in WITHOUT_BODY:
        words = f"method {method} has no body"
        yield Fault(
            words=words, path=(bodies[0],), on_key=True, of_owner=True, hint="write method: POST, or put the values under query:"
        )


def _header_faults(http: Http) -> Iterator[Fault]:
    seen: dict[str, str] = {}
    for name in http.headers or ():
        earlier = seen.setdefault(name.lower(), name)
        if earlier != name:
            words = f"{name} is the same header as {earlier}"
            yield Fault(words=words, path=("headers", name), on_key=True, of_owner=True, hint="keep one of them")


def _without_nulls(values: dict[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in values.items() if value is not None}
