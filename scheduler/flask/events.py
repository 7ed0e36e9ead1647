"""A run as a stream of events (text/event-stream), for web servers with threads."""

import signal
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flask import Response, request

from scheduler.clock import SystemClock
from scheduler.flask import handover
from scheduler.flask.shape import as_text, tag
from scheduler.instants import SECOND

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from scheduler.ledger.engine import Ledger
    from scheduler.model.background import Standing

#: A stream ends then, and the browser asks again: no thread of the server is away for longer, and `authorize` is asked anew.
_LASTS_NS = 30 * SECOND
#: How often it looks for something new, and whether anybody is still there.
_LOOK_S = 0.5
_RETRY = "retry: 1000\n\n"
_STILL_THERE = ":\n\n"


def response(standing: "Standing") -> Response:
    """
    The stream of a run that stands like this, for the current request.

    A browser that has had the last event already gets 204, which is how an EventSource is told to stop.
    """
    had = request.headers.get("Last-Event-ID")
    if standing.outcome is not None and had == tag(as_text(standing)):
        return Response(status=204)
    answer = Response(_stream(standing.id, had), mimetype="text/event-stream")
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Accel-Buffering"] = "no"  # nginx would keep it back
    return answer


def _stream(identity: str, had: str | None) -> Iterator[str]:
    """Holds no connection while it waits. One that has gone shows when it is written to."""
    ledger, seen = handover.ledger(), None
    ends_ns = SystemClock.monotonic_ns() + _LASTS_NS
    yield _RETRY
    while SystemClock.monotonic_ns() < ends_ns and _is_serving():
        counter = _change_counter(ledger)
        said = _STILL_THERE
        if counter is None or counter != seen:
            seen = counter
            if (standing := handover.standing(identity)) is None:
                return
            text = as_text(standing)
            if tag(text) != had:
                had = tag(text)
                said = f"id: {had}\ndata: {text}\n\n"
            if standing.outcome is not None:
                yield said
                return
        yield said
        threading.Event().wait(_LOOK_S)


def _is_serving() -> bool:
    """
    False where gunicorn has told this worker to stop: it would wait for the stream, `--graceful-timeout` long.

    Its worker is the owner of the handler of SIGTERM; no other server is known to tell, and then it is True.
    """
    return bool(getattr(getattr(signal.getsignal(signal.SIGTERM), "__self__", None), "alive", True))


#: For each ledger in SQLite the one connection that all streams of this process ask, outside of any transaction.
_asked: "dict[Ledger, Connection]" = {}
_asking = threading.Lock()


def _change_counter(ledger: "Ledger") -> int | None:
    """
    A number that moves when the ledger has been written to; None where there is none, as in PostgreSQL.

    Raises:
        LedgerError: it cannot be read.
    """
    from scheduler.ledger.changes import change_counter

    if ledger.path is None:
        return None
    with _asking:
        if ledger not in _asked:
            _asked[ledger] = ledger.own_connection()
        return change_counter(_asked[ledger])
