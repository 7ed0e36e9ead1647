"""A run as a stream of events (text/event-stream), for web servers with threads."""

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flask import Response, request

from tminus.clock import SystemClock
from tminus.flask import client, ledgers
from tminus.flask.run_json import etag, run_to_text
from tminus.instants import MS, SECOND

if TYPE_CHECKING:
    from tminus.model.background import RunStatus

#: How long a stream lasts. Then the browser reconnects. No thread of the server is occupied for longer, and
#: `authorize` is called again.
_LASTS_NS = 30 * SECOND
#: Time between two checks for changes. Each check also writes, which shows whether the browser is connected.
_CHECK_NS = 500 * MS
_RETRY = "retry: 1000\n\n"
_COMMENT = ":\n\n"


def event_response(status: "RunStatus") -> Response:
    """
    Return the stream of a run with this status, for the current request.

    If the run has ended and the browser has its last event, return 204, which makes an EventSource stop.
    """
    last_event = request.headers.get("Last-Event-ID")
    if status.outcome is not None and last_event == etag(run_to_text(status)):
        return Response(status=204)
    response = Response(_stream(status.id, last_event), mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # otherwise nginx buffers the events
    return response


def _stream(run_id: str, last_event: str | None) -> Iterator[str]:
    """Yield the events of a run. Between two checks, hold no connection to PostgreSQL and no transaction."""
    counter = None
    ends_ns = SystemClock.monotonic_ns() + _LASTS_NS
    yield _RETRY
    while SystemClock.monotonic_ns() < ends_ns and _is_serving():
        before, counter = counter, ledgers.change_counter()
        event = _COMMENT
        if counter is None or counter != before:
            if (status := client.get_status(run_id)) is None:
                return
            text = run_to_text(status)
            if etag(text) != last_event:
                last_event = etag(text)
                event = f"id: {last_event}\ndata: {text}\n\n"
            if status.outcome is not None:
                yield event
                return
        yield event
        SystemClock.pause(_CHECK_NS)


def _is_serving() -> bool:
    """
    Return False if gunicorn has asked this worker to stop. Otherwise the worker would wait for the stream
    until its `--graceful-timeout`.

    Gunicorn has no public way to ask. Its handler of SIGTERM is a method of the worker, which has `alive`.
    For other servers, return True.
    """
    return bool(getattr(getattr(signal.getsignal(signal.SIGTERM), "__self__", None), "alive", True))
