"""
Rendering: templates and secrets are put into a job when it is armed. The result is a finished request or
call.
"""

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import structlog

from tminus import templates
from tminus.daemon.attempts.http_message import (
    Substitute,
    build_body,
    build_headers,
    build_url,
    encode_query,
    format_headers,
)
from tminus.errors import TminusError
from tminus.executors.http.wire import Request
from tminus.executors.python.wire import RequestContext, Work
from tminus.http_rules.syntax import InvalidSyntax
from tminus.instants import LATEST_NS, MS
from tminus.model import payload
from tminus.model.background import BackgroundRun
from tminus.model.batch import AnyRun, DueOccurrence
from tminus.model.chain import MOST_BYTES, Function, Value
from tminus.model.code_job import CodeJob
from tminus.model.job import MAX_BODY, CallTarget, ContextRequest, FlaskTarget, HttpTarget, Message, Target
from tminus.secrets.files import CannotRead, FileContent, read_file
from tminus.secrets.references import References
from tminus.templates import as_text

log = structlog.get_logger()

_MAY_NOT_BE_SENT = "it renders to something that may not be sent"


class CannotRender(TminusError):
    """A job cannot be rendered. The message never contains a secret."""


class Renderer:
    """
    The renderer of requests and calls. Thread-safe. Each job reads its secrets anew.

    Args:
        references: The values of `${…}`.
        keep_body: How many bytes of a response, and of the output, are stored.
        read: Reads a file, as `read_file` does.
        is_reported: Returns whether an application of this process has reported that its code defines a job.
    """

    def __init__(
        self,
        references: References,
        *,
        keep_body: int,
        read: Callable[..., FileContent] = read_file,
        is_reported: Callable[[CodeJob], bool] = lambda _: False,
    ) -> None:
        self._references = references
        self._read = read
        self._is_reported = is_reported
        self.keep_body = keep_body
        self._authorities = _authorities()

    def render(self, due: DueOccurrence, index: int) -> Request | Work:
        """
        Return the request or the work of an occurrence.

        Raises:
            CannotRender: a template fails, a secret is missing, or a rendered value may not be sent.
        """
        with _translate_render_errors(due):
            match due.job.target:
                case HttpTarget() as target:
                    return self._request(due, target, index)
                case FlaskTarget() as target:
                    return self._view(due, target, index)
                case CallTarget() as target:
                    return self._call(due, target, index)

    def render_link(self, run: AnyRun, function: Function, value: Value) -> Work:
        """
        Return the call of a function that follows a run, in the request context of the run.

        Args:
            value: The input of the function.

        Raises:
            CannotRender: as `render`.
        """
        if isinstance(run, BackgroundRun):
            return self._render_background_link(run, function, value)
        with _translate_render_errors(run):
            fill = self._substitution(run)
            work = self._work(
                run,
                0,
                ref=function.ref,
                arguments=_as_json([[], fill(function.kwargs)], "the arguments are"),
                given=value.as_text(),
                request=self._context_of_run(run, fill) if function.app else RequestContext(),
                max_body=MOST_BYTES,
            )
            # It has no grace time, and its result flows on.
            return replace(work, latest_ns=LATEST_NS, keep_body=MOST_BYTES)

    def _render_background_link(self, run: BackgroundRun, function: Function, value: Value) -> Work:
        """
        Return the call of a function that follows a background run. The chain comes from the ledger, so
        nothing in it is rendered, and the code must declare the link.
        """
        headers = [list(pair) for pair in build_headers(run, ContextRequest(), lambda text: text, "")]
        return Work(
            index=0,
            job=run.id.job,
            occurrence=str(run.id),
            ref=function.ref,
            declared_by=run.ref,
            arguments=_as_json([[], function.kwargs], "the arguments are"),
            given=value.as_text(),
            request=RequestContext(path="/", headers=headers) if function.app else RequestContext(),
            latest_ns=LATEST_NS,
            total_ns=run.total_ns,
            max_body=MOST_BYTES,
            keep_body=MOST_BYTES,
            keep_output=self.keep_body,
        )

    def secrets(self, run: AnyRun) -> frozenset[str]:
        """
        Return the values of `${…}` in this job, which no text for people may contain.

        Raises:
            CannotRender: as `render`.
        """
        if isinstance(run, BackgroundRun):
            return frozenset()  # its links contain no templates
        functions = (
            handler for link in run.then for handler in link.handlers if isinstance(handler, Function)
        )
        values = [*asdict(run.job.target).values(), *(function.kwargs for function in functions)]
        found = (reference for value in values for reference in templates.references(value))
        try:
            return frozenset(value for reference in found if (value := self._references.value_of(reference)))
        except TminusError as error:
            raise CannotRender(error.message, hint=error.hint) from None

    def _request(self, due: DueOccurrence, target: HttpTarget, index: int) -> Request:
        if due.job.unproven:
            raise CannotRender(
                f"no code defines {due.job.name} like this: its definition comes from the ledger only, so it "
                "is not started"
            )
        timeouts, fill = due.job.timeouts, self._substitution(due)
        body, content_type = build_body(target, fill)
        if target.body_file is not None:
            body, content_type = self._read_body(target.body_file), "application/octet-stream"
        return Request(
            index=index,
            method=target.method,
            url=build_url(fill(target.url), fill(target.query)),
            headers=format_headers(build_headers(due, target, fill, content_type)),
            body=body,
            connect_ms=timeouts.connect_ns // MS,
            first_byte_ms=timeouts.first_byte_ns // MS,
            total_ms=timeouts.total_ns // MS,
            latest_ns=due.latest_start_ns,
            max_body=target.max_body,
            keep_body=min(self._reported_bytes(due), target.max_body),
            follow=target.follow,
            confidential=[name for name, value in target.headers.items() if any(templates.references(value))],
            http2=target.http_version == "2",
            ca=target.tls.ca or self._authorities,
            insecure=target.tls.insecure,
        )

    def _read_body(self, path: str) -> bytes:
        try:
            return self._read(path, limit=MAX_BODY).data
        except CannotRead as error:
            raise CannotRender(f"http.body_file: cannot read {path}: {error}") from None

    def _view(self, due: DueOccurrence, target: FlaskTarget, index: int) -> Work:
        fill = self._substitution(due)
        path = as_text(fill(target.url)) if target.url is not None else None
        context = self._context(
            due, target, fill, path=path, endpoint=target.endpoint, args=fill(target.args)
        )
        if target.session:
            session = _as_json(fill(target.session), "flask: the values of the session are")
            context = replace(context, session=session)
        return self._work(due, index, ref=None, request=context, max_body=target.max_body)

    def _call(self, due: DueOccurrence, target: CallTarget, index: int) -> Work:
        fill = self._substitution(due)
        context = self._context(due, target.request, fill, path=as_text(fill(target.request.path)))
        arguments = _as_json([fill(list(target.args)), fill(target.kwargs)], "call: the arguments are")
        return self._work(due, index, ref=target.ref, arguments=arguments, request=context, max_body=MAX_BODY)

    def _context_of_run(self, due: DueOccurrence, fill: Substitute) -> RequestContext:
        """Return the request context of a function that follows a run: that of the run."""
        match due.job.target:
            case CallTarget(request=request):
                return self._context(due, request, fill, path=as_text(fill(request.path)))
            case FlaskTarget(url=None) as target:
                return self._context(
                    due, target, fill, path=None, endpoint=target.endpoint, args=fill(target.args)
                )
            case FlaskTarget(url=url) as target:
                return self._context(due, target, fill, path=as_text(fill(url)))
            case HttpTarget(url=url) as target:
                parts = urlsplit(as_text(fill(url)))
                return self._context(
                    due, target, fill, path=urlunsplit(("", "", parts.path or "/", parts.query, ""))
                )

    def _context(
        self, due: DueOccurrence, message: Message, fill: Substitute, *, path: str | None, **view: Any
    ) -> RequestContext:
        body, content_type = build_body(message, fill)
        if path is not None and message.query:
            path += ("&" if "?" in path else "?") + encode_query(fill(message.query))
        elif message.query:
            # Flask puts into the query what the URL rule does not take.
            view["args"] = {**view["args"], **fill(message.query)}
        _as_json(view.get("args", {}), "flask: the args are")
        headers = [list(pair) for pair in build_headers(due, message, fill, content_type)]
        return RequestContext(method=message.method, path=path, headers=headers, body=body or b"", **view)

    def _work(self, due: DueOccurrence, index: int, **given: Any) -> Work:
        unproven = due.job.unproven
        return Work(
            index=index,
            job=due.job.name,
            occurrence=str(due.id),
            latest_ns=due.latest_start_ns,
            total_ns=due.job.timeouts.total_ns,
            kill_after_ns=due.job.timeouts.kill_after_ns,
            keep_body=self._reported_bytes(due),
            keep_output=self.keep_body,
            defined=json.dumps(unproven.keys) if unproven and not self._is_reported(unproven) else None,
            **given,
        )

    def _reported_bytes(self, due: DueOccurrence) -> int:
        """Return how many bytes of a response or a result the executor reports."""
        return max(self.keep_body, MOST_BYTES) if due.job.then else self.keep_body

    def _substitution(self, due: DueOccurrence) -> Substitute:
        names = templates.context(
            due.job,
            due.id,
            planned_at_ns=due.planned_at_ns,
            params=due.params,
            attempt=due.attempt,
            cause=due.cause,
        )
        return lambda value: templates.render(value, names, self._references.value_of)


@contextmanager
def _translate_render_errors(due: DueOccurrence) -> Iterator[None]:
    """
    Turn every exception during rendering into a sentence that contains no secret.

    Raises:
        CannotRender: in place of any other exception.
    """
    target = due.job.target
    try:
        yield
    except InvalidSyntax as error:
        # An error may quote the rendered text, which must not be shown if a secret is in it.
        message = _MAY_NOT_BE_SENT if _has_secrets(target) else str(error)
        raise CannotRender(f"{_kind(target)}: {message}", hint=error.hint) from None
    except ValueError:  # a lone surrogate, a host that is not a name
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


def _kind(target: Target) -> str:
    return {HttpTarget: "http", FlaskTarget: "flask", CallTarget: "call"}[type(target)]


def _has_secrets(target: Target) -> bool:
    return any(True for value in asdict(target).values() for _ in templates.references(value))


@cache
def _authorities() -> str | None:
    """
    Return the file of certificates that this system trusts: the libcurl of PycURL's wheel only knows Red
    Hat's place.
    """
    return ssl.get_default_verify_paths().cafile
