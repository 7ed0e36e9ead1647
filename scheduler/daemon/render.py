"""From a job as written to a finished request or call: templates and secrets are put in here, when the job is armed."""

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import structlog

from scheduler import __version__, templates
from scheduler.daemon import header_lines
from scheduler.daemon.request_urls import query_text, url_of
from scheduler.errors import TminusError
from scheduler.executors.http.wire import Request
from scheduler.executors.python.wire import RequestContext, Work
from scheduler.instants import LATEST_NS, MS
from scheduler.jobsfile.faults import Wrong
from scheduler.jobsfile.files import CannotRead, FileContent, read_file
from scheduler.jobsfile.http_syntax import HEADER_VALUE
from scheduler.jobsfile.references import References
from scheduler.model import payload
from scheduler.model.batch import Due
from scheduler.model.chain import MOST_BYTES, Function, Value
from scheduler.model.code import CodeJob
from scheduler.model.job import MAX_BODY, CallTarget, FlaskTarget, HttpTarget, Message, Target
from scheduler.outcome import Origin
from scheduler.templates import as_text

log = structlog.get_logger()

_MAY_NOT_BE_SENT = "it renders to something that may not be sent"
#: Returns a value with `{{ … }}` and `${…}` replaced.
_PutIn = Callable[[Any], Any]


class CannotRender(TminusError):
    """A job cannot be rendered; the message never contains a secret."""


class Renderer:
    """
    Thread-safe; every secret is looked up anew for each job.

    Args:
        references: What `${…}` stands for.
        keep_body: How many bytes of a response are kept.
        read: Reads a file, as `read_file` does.
        is_said: Whether an application of this process has said that its code defines a job.
    """

    def __init__(
        self,
        references: References,
        *,
        keep_body: int,
        read: Callable[..., FileContent] = read_file,
        is_said: Callable[[CodeJob], bool] = lambda _: False,
    ) -> None:
        self._references = references
        self._read = read
        self._is_said = is_said
        self._keep_body = keep_body
        self._authorities = _authorities()

    def render(self, due: Due, index: int) -> Request | Work:
        """
        Return what the executor is to do.

        Raises:
            CannotRender: a template fails, a secret is missing, or a rendered value may not be sent.
        """
        with _in_our_words(due):
            match due.job.target:
                case HttpTarget() as target:
                    return self._request(due, target, index)
                case FlaskTarget() as target:
                    return self._view(due, target, index)
                case CallTarget() as target:
                    return self._call(due, target, index)

    def link(self, due: Due, function: Function, value: Value, index: int) -> Work:
        """
        Return the call of a function that follows a run, in the request context of the run.

        Args:
            value: The input of the function.

        Raises:
            CannotRender: as `render`.
        """
        with _in_our_words(due):
            # The ledger has the chain of a background run: nothing is put in, and the code must declare the link.
            by = due.job.target.ref if isinstance(due.job.target, CallTarget) and due.origin is Origin.BACKGROUND else None
            put_in: _PutIn = (lambda value: value) if by else self._for(due)
            work = self._work(
                due,
                index,
                ref=function.ref,
                declared_by=by,
                arguments=_as_json([[], put_in(function.kwargs)], "the arguments are"),
                given=value.as_text(),
                request=self._around(due, put_in) if function.app else RequestContext(),
                max_body=MOST_BYTES,
            )
            return replace(work, latest_ns=LATEST_NS, keep_body=MOST_BYTES)  # it has no grace, and its result flows on

    def handed_over(self, due: Due, index: int, **given: Any) -> Work:
        """Return work that an application's code has submitted: nothing is put in."""
        work = self._work(due, index, max_body=MAX_BODY, **given)
        return replace(work, latest_ns=LATEST_NS, keep_body=MAX_BODY)

    def secrets(self, due: Due) -> frozenset[str]:
        """
        Return the values of `${…}` in this job, which no text for people may contain.

        Raises:
            CannotRender: as `render`.
        """
        if due.origin is Origin.BACKGROUND:
            return frozenset()  # as in `link`: nothing is put in
        functions = (handler for link in due.job.then for handler in link.handlers if isinstance(handler, Function))
        values = [*asdict(due.job.target).values(), *(function.kwargs for function in functions)]
        found = (reference for value in values for reference in templates.references(value))
        try:
            return frozenset(value for reference in found if (value := self._references.value_of(reference)))
        except TminusError as error:
            raise CannotRender(error.message, hint=error.hint) from None

    def _request(self, due: Due, target: HttpTarget, index: int) -> Request:
        if due.job.unproven:
            raise CannotRender(f"no code defines {due.job.name} like this: the ledger cannot start it")
        timeouts, put_in = due.job.timeouts, self._for(due)
        body, content_type = _body(target, put_in)
        if target.body_file is not None:
            body, content_type = self._file(target.body_file), "application/octet-stream"
        return Request(
            index=index,
            method=target.method,
            url=url_of(put_in(target.url), put_in(target.query)),
            headers=header_lines.of(_headers(due, target, put_in, content_type)),
            body=body,
            connect_ms=timeouts.connect_ns // MS,
            first_byte_ms=timeouts.first_byte_ns // MS,
            total_ms=timeouts.total_ns // MS,
            latest_ns=due.planned_at_ns + due.job.misfire_grace_ns,
            max_body=target.max_body,
            keep_body=min(self._kept(due), target.max_body),
            follow=target.follow,
            confidential=[name for name, value in target.headers.items() if any(templates.references(value))],
            http2=target.http_version == "2",
            ca=target.tls.ca or self._authorities,
            insecure=target.tls.insecure,
        )

    def _file(self, path: str) -> bytes:
        try:
            return self._read(path, limit=MAX_BODY).data
        except CannotRead as error:
            raise CannotRender(f"http.body_file: cannot read {path}: {error}") from None

    def _view(self, due: Due, target: FlaskTarget, index: int) -> Work:
        put_in = self._for(due)
        path = as_text(put_in(target.url)) if target.url is not None else None
        context = self._context(due, target, put_in, path=path, endpoint=target.endpoint, args=put_in(target.args))
        return self._work(due, index, ref=None, request=context, max_body=target.max_body)

    def _call(self, due: Due, target: CallTarget, index: int) -> Work:
        put_in = self._for(due)
        context = self._context(due, target.request, put_in, path=as_text(put_in(target.request.path)))
        arguments = _as_json([put_in(list(target.args)), put_in(target.kwargs)], "call: the arguments are")
        return self._work(due, index, ref=target.ref, arguments=arguments, request=context, max_body=MAX_BODY)

    def _around(self, due: Due, put_in: _PutIn) -> RequestContext:
        """Return the request context of a function that follows a run: that of the run."""
        match due.job.target:
            case CallTarget(request=request):
                return self._context(due, request, put_in, path=as_text(put_in(request.path)))
            case FlaskTarget(url=None) as target:
                return self._context(due, target, put_in, path=None, endpoint=target.endpoint, args=put_in(target.args))
            case FlaskTarget(url=url) as target:
                return self._context(due, target, put_in, path=as_text(put_in(url)))
            case HttpTarget(url=url) as target:
                parts = urlsplit(as_text(put_in(url)))
                return self._context(due, target, put_in, path=urlunsplit(("", "", parts.path or "/", parts.query, "")))

    def _context(self, due: Due, message: Message, put_in: _PutIn, *, path: str | None, **view: Any) -> RequestContext:
        body, content_type = _body(message, put_in)
        if path is not None and message.query:
            path += ("&" if "?" in path else "?") + query_text(put_in(message.query))
        elif message.query:
            view["args"] = {**view["args"], **put_in(message.query)}  # Flask puts into the query what the URL rule does not take
        _as_json(view.get("args", {}), "flask: the args are")
        headers = [list(pair) for pair in _headers(due, message, put_in, content_type)]
        return RequestContext(method=message.method, path=path, headers=headers, body=body or b"", **view)

    def _work(self, due: Due, index: int, **given: Any) -> Work:
        unproven = due.job.unproven
        return Work(
            index=index,
            job=due.job.name,
            occurrence=str(due.id),
            latest_ns=due.planned_at_ns + due.job.misfire_grace_ns,
            total_ns=due.job.timeouts.total_ns,
            kill_after_ns=due.job.timeouts.kill_after_ns,
            keep_body=self._kept(due),
            keep_output=self._keep_body,
            defined=json.dumps(unproven.keys) if unproven and not self._is_said(unproven) else None,
            **given,
        )

    def _kept(self, due: Due) -> int:
        """Return how many bytes of a response or a result the executor reports."""
        return max(self._keep_body, MOST_BYTES) if due.job.then else self._keep_body

    def _for(self, due: Due) -> _PutIn:
        names = templates.context(due.job, due.id, planned_at_ns=due.planned_at_ns, params=due.params)
        return lambda value: templates.render(value, names, self._references.value_of)


@contextmanager
def _in_our_words(due: Due) -> Iterator[None]:
    """
    Turn every exception during rendering into a sentence that contains no secret.

    Raises:
        CannotRender: in place of any other exception.
    """
    target = due.job.target
    try:
        yield
    except Wrong as error:
        # An error may quote the rendered text, which must not be shown if a secret is in it.
        words = _MAY_NOT_BE_SENT if _has_secrets(target) else str(error)
        raise CannotRender(f"{_kind(target)}: {words}", hint=error.faults[0].hint) from None
    except ValueError:  # halves of characters, a host that is no name
        raise CannotRender(f"{_kind(target)}: {_MAY_NOT_BE_SENT}") from None
    except CannotRender:
        raise
    except TminusError as error:
        raise CannotRender(error.message, hint=error.hint) from None
    except Exception as error:
        log.exception("a job could not be rendered", occurrence=str(due.id))
        raise CannotRender(f"rendering broke ({type(error).__name__})") from None


def _as_json(value: Any, subject: str) -> str:
    try:
        return payload.dumps(value)
    except TypeError as error:
        raise CannotRender(f"{subject} not JSON: {error}") from None


def _body(message: Message, put_in: _PutIn) -> tuple[bytes | None, str]:
    """Return the body and its content type."""
    if message.has_json:
        return json.dumps(put_in(message.json), ensure_ascii=False, separators=(",", ":")).encode(), "application/json"
    if message.form is not None:
        return query_text(put_in(message.form)).encode(), "application/x-www-form-urlencoded"
    if message.body is not None:
        return as_text(put_in(message.body)).encode(), "text/plain; charset=utf-8"
    return None, ""


def _headers(due: Due, message: Message, put_in: _PutIn, content_type: str) -> list[tuple[str, str]]:
    """Return all headers; those of the job replace ours."""
    headers = {
        "User-Agent": f"tminus/{__version__}",
        "X-Tminus-Job": due.job.name,
        "X-Tminus-Occurrence": str(due.id),
        "X-Tminus-Attempt": "1",
    }
    if not message.is_safe:
        headers["Idempotency-Key"] = str(due.id)
    if content_type:
        headers["Content-Type"] = content_type
    given = {name: HEADER_VALUE.parse(as_text(value)) for name, value in put_in(message.headers).items()}
    taken = {name.lower() for name in given}
    all_of_them = [*((name, value) for name, value in headers.items() if name.lower() not in taken), *given.items()]
    "".join(
        value for _, value in all_of_them
    ).encode()  # half a character cannot be encoded for the pipe, which would affect the whole batch
    return all_of_them


def _kind(target: Target) -> str:
    return {HttpTarget: "http", FlaskTarget: "flask", CallTarget: "call"}[type(target)]


def _has_secrets(target: Target) -> bool:
    return any(True for value in asdict(target).values() for _ in templates.references(value))


@cache
def _authorities() -> str | None:
    """Return the file of certificates that this system trusts: the libcurl of PycURL's wheel only knows Red Hat's place."""
    return ssl.get_default_verify_paths().cafile
