"""Responses to the requests of jobs."""

from collections.abc import Callable
from typing import Any, NoReturn

import structlog

from scheduler.errors import LedgerError, TminusError
from scheduler.executors.python.wire import Answered, Ask

log = structlog.get_logger()

#: Sends a response to the runner that asked, but not to a runner that has taken its place.
Answer = Callable[[Answered], object]


def answered(ask: Ask, do: Callable[[], Any]) -> Answered:
    """Do what is asked for; return the response."""
    try:
        return Answered(pid=ask.pid, number=ask.number, value=do())
    except TminusError as error:
        return Answered(pid=ask.pid, number=ask.number, value=error.message, kind=type(error).__name__, hint=error.hint)
    except Exception as error:  # the next request gets its response, too
        log.exception("what a job asked for broke", what=ask.what)
        return Answered(pid=ask.pid, number=ask.number, value=f"a bug in tminus: {error!r}", kind=type(error).__name__)


def no_thread(error: RuntimeError) -> NoReturn:
    """
    Raise that nothing was done, because the machine has no thread for it.

    Raises:
        LedgerError: always.
    """
    raise LedgerError(f"nothing was done: the daemon gets no thread ({error})")
