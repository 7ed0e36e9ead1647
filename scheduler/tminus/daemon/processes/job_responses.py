"""Responses to the requests of jobs."""

from collections.abc import Callable
from typing import Any, NoReturn

import structlog

from tminus.errors import LedgerError, TminusError
from tminus.executors.protocol import JOB_ERRORS, JobRequest, JobResponse

log = structlog.get_logger()

#: Sends a response to the runner that asked, but not to a runner that has taken its place.
SendResponse = Callable[[JobResponse], object]


def to_response(request: JobRequest, do: Callable[[], Any]) -> JobResponse:
    """Execute a request by calling `do`; return the response."""
    try:
        return JobResponse(pid=request.pid, number=request.number, value=do())
    except TminusError as error:
        return JobResponse(
            pid=request.pid,
            number=request.number,
            value=error.message,
            kind=next(base.__name__ for base in type(error).__mro__ if base in JOB_ERRORS),
            hint=error.hint,
        )
    except Exception as error:  # the job gets a response, and the thread goes on
        log.exception("a request of a job cannot be handled", what=request.what)
        return JobResponse(
            pid=request.pid,
            number=request.number,
            value=f"a bug in tminus: {error!r}",
            kind=type(error).__name__,
        )


def raise_no_thread(error: RuntimeError) -> NoReturn:
    """
    Raise that nothing was done, because the machine has no thread for it.

    Raises:
        LedgerError: always.
    """
    raise LedgerError(f"nothing was done: the daemon gets no thread ({error})")
