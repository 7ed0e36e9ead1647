"""From a job as written to a finished request: templates and secrets are put in here, when the job is armed."""

import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import idna
import structlog

from scheduler import __version__, templates
from scheduler.errors import TminusError
from scheduler.executors.http.wire import Request
from scheduler.instants import MS
from scheduler.jobsfile.faults import Wrong
from scheduler.jobsfile.http_syntax import HEADER_VALUE
from scheduler.jobsfile.references import References
from scheduler.jobsfile.urls import URL
from scheduler.model.batch import Due
from scheduler.model.job import HttpTarget
from scheduler.templates import as_text

log = structlog.get_logger()

_MAY_NOT_BE_SENT = "it renders to something that may not be sent"
#: What may hold `{{ … }}` and `${…}`.
_RENDERED = ("url", "query", "headers", "json", "form", "body")


class CannotRender(TminusError):
    """A job that cannot be made into a request; the message never holds a secret."""


class Renderer:
    """
    Thread-safe; every secret is looked up anew for each request.

    Args:
        references: What `${…}` stands for.
        keep_body: How many bytes of an answer are kept.
    """

    def __init__(self, references: References, *, keep_body: int) -> None:
        self._references = references
        self._keep_body = keep_body
        self._authorities = _authorities()

    def request(self, due: Due, index: int) -> Request:
        """
        Raises:
            CannotRender: a template fails, a secret is not there, a rendered value may not be sent.
        """
        target, timeouts = due.job.target, due.job.timeouts
        try:
            rendered = self._rendered(due)
            body, content_type = _body(target, rendered)
            return Request(
                index=index,
                method=target.method,
                url=_url(rendered["url"], rendered["query"]),
                headers=_headers(due, rendered["headers"], content_type),
                body=body,
                connect_ms=timeouts.connect_ns // MS,
                first_byte_ms=timeouts.first_byte_ns // MS,
                total_ms=timeouts.total_ns // MS,
                latest_ns=due.planned_at_ns + due.job.misfire_grace_ns,
                max_body=target.max_body,
                keep_body=min(self._keep_body, target.max_body),
                follow=target.follow,
                http2=target.http_version == "2",
                ca=target.tls.ca or self._authorities,
                insecure=target.tls.insecure,
            )
        except Wrong as error:
            # What is wrong with a rendered text may quote it: not where a secret is in it.
            words = _MAY_NOT_BE_SENT if _has_secrets(target) else str(error)
            raise CannotRender(f"http: {words}", hint=error.faults[0].hint) from None
        except ValueError:  # halves of characters, a host that is no name
            raise CannotRender(f"http: {_MAY_NOT_BE_SENT}") from None
        except CannotRender:
            raise
        except TminusError as error:
            raise CannotRender(error.message, hint=error.hint) from None
        except Exception as error:
            log.exception("a job could not be rendered", occurrence=str(due.id))
            raise CannotRender(f"rendering broke ({type(error).__name__})") from None

    def secrets(self, due: Due) -> frozenset[str]:
        """
        What `${…}` stands for in this job's request: no text for people may hold it.

        Raises:
            CannotRender: as `request`.
        """
        target = due.job.target
        found = (reference for part in _RENDERED for reference in templates.references(getattr(target, part)))
        try:
            return frozenset(value for reference in found if (value := self._references.value_of(reference)))
        except TminusError as error:
            raise CannotRender(error.message, hint=error.hint) from None

    def _rendered(self, due: Due) -> dict[str, Any]:
        names = templates.context(due.job, due.id, planned_at_ns=due.planned_at_ns, params=due.params)
        return {part: templates.render(getattr(due.job.target, part), names, self._references.value_of) for part in _RENDERED}


def _url(rendered: Any, query: Mapping[str, Any]) -> str:
    parts = urlsplit(str(URL.parse(as_text(rendered))))
    host = parts.netloc
    if not host.isascii():
        name, colon, port = host.partition(":")
        host = idna.encode(name, uts46=True).decode() + colon + port
    added = urlencode({name: as_text(value) for name, value in query.items()})
    joined = "&".join(part for part in (parts.query, added) if part)
    return urlunsplit((parts.scheme.lower(), host, parts.path or "/", joined, ""))


def _body(target: HttpTarget, rendered: Mapping[str, Any]) -> tuple[bytes | None, str]:
    """The body and its type."""
    if target.has_json:
        return json.dumps(rendered["json"], ensure_ascii=False, separators=(",", ":")).encode(), "application/json"
    if target.form is not None:
        fields = {name: as_text(value) for name, value in rendered["form"].items()}
        return urlencode(fields).encode(), "application/x-www-form-urlencoded"
    if target.body is not None:
        return as_text(rendered["body"]).encode(), "text/plain; charset=utf-8"
    if target.body_file is not None:
        try:
            return Path(target.body_file).read_bytes(), "application/octet-stream"
        except OSError as error:
            raise CannotRender(f"http.body_file: cannot read {target.body_file}: {error.strerror}") from None
    return None, ""


def _headers(due: Due, own: Mapping[str, Any], content_type: str) -> list[str]:
    """All headers; a job's own win over ours."""
    headers = {
        "User-Agent": f"tminus/{__version__}",
        "X-Tminus-Job": due.job.name,
        "X-Tminus-Occurrence": str(due.id),
        "X-Tminus-Attempt": "1",
    }
    if not due.job.target.is_safe:
        headers["Idempotency-Key"] = str(due.id)
    given = {name: HEADER_VALUE.parse(as_text(value)) for name, value in own.items()}
    taken = {name.lower() for name in given}
    lines = [f"{name}: {value}" for name, value in headers.items() if name.lower() not in taken]
    # `Name;` is libcurl's way to write a header without a value, `Name:` to leave out one of its own: without a type it
    # would call any body a form.
    lines += [f"{name}: {value}" if value else f"{name};" for name, value in given.items()]
    if "content-type" not in taken:
        lines.append(f"Content-Type: {content_type}" if content_type else "Content-Type:")
    "".join(lines).encode()  # half a character would break the pipe to the executor for the whole batch
    return lines


def _has_secrets(target: HttpTarget) -> bool:
    return any(True for part in _RENDERED for _ in templates.references(getattr(target, part)))


def _authorities() -> str | None:
    """Where this system keeps the certificates it trusts: the libcurl of PycURL's wheel looks in Red Hat's place only."""
    return ssl.get_default_verify_paths().cafile
