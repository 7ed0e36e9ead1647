"""The reports of a lane: each request exactly once, whatever breaks."""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from types import TracebackType

from tminus.clock import Clock
from tminus.executors.http import transfer_errors, wire
from tminus.executors.http.fd_exhaustion import fd_exhaustion_errno
from tminus.executors.http.transfer import Transfer
from tminus.executors.http.transfer_errors import TransferFailure
from tminus.executors.http.wire import Request
from tminus.executors.protocol import AttemptResult, AttemptResults, HttpReport
from tminus.outcome import Cause

#: Bytes of bodies and headers in one report, at which the next report begins.
_MOST_BYTES = 4 << 20
#: Tracebacks that one lane reports. Further ones are most likely the same.
_MOST_ERRORS = 3


class Results:
    """
    The results of one lane. Belongs to its thread. Only `withdraw` may be called on another thread.

    Args:
        shard: The number of the lane's shard.
        report: Takes results and errors.
    """

    def __init__(self, shard: int, *, clock: Clock, report: Callable[[HttpReport], None]) -> None:
        self._shard = shard
        self._clock = clock
        self._report = report
        self._settled: set[int] = set()
        self._finished: list[AttemptResult] = []
        self._errors = 0

    def is_settled(self, request: Request) -> bool:
        """Whether the request has its result, or was withdrawn."""
        return request.index in self._settled

    def withdraw(self, indexes: Collection[int]) -> None:
        """Never report these requests."""
        self._settled.update(indexes)

    def add(self, finished: AttemptResult) -> None:
        """Add a result, to be reported by the next `flush`."""
        self._settled.add(finished.index)
        self._finished.append(finished)

    def add_late(self, request: Request) -> None:
        """Add that a request was not started, because its grace time had passed."""
        self.add(result_without_transfer(request, self._clock.wall_ns()))

    def add_cancelled(self, request: Request, transfer: Transfer | None = None) -> None:
        """Add that a request was cancelled. `transfer` is None if it was not started."""
        failure = TransferFailure(Cause.OTHER, "it was cancelled")
        now_ns = self._clock.wall_ns()
        ended = transfer.end_with(failure) if transfer else result_without_transfer(request, now_ns, failure)
        self.add(replace(ended, cancelled=True))

    def add_refused(self, request: Request, error: Exception) -> None:
        """Add that libcurl does not accept a request."""
        self.add(result_without_transfer(request, self._clock.wall_ns(), transfer_errors.not_taken(error)))

    def add_broken(self, request: Request, error: BaseException, transfer: Transfer | None = None) -> None:
        """
        Add the result of a request that an unforeseen error has ended: `unknown` if it may have left,
        otherwise failed and not sent.

        This is the last resort and never raises. A request without any result is `unknown` when its shard
        has ended.

        Args:
            transfer: The transfer of the request, if there is one.
        """
        if not self.is_settled(request):
            sent = transfer is not None and transfer.may_have_left
            with suppress(Exception):
                self.add(self._broken(request, error, transfer if sent else None))

    def guard(
        self, request: Request, transfer: Transfer | None = None, *, undo: Callable[[], None] | None = None
    ) -> "Guard":
        """
        Return a guard for a step of one request.

        Args:
            request, transfer: As for `add_broken`.
            undo: Called after an error, when the request has its result.
        """
        return Guard(self, request, transfer, undo)

    def report_error(self, error: BaseException, request: Request | None = None) -> None:
        """Report an error with its traceback; if there are many, only the first ones."""
        self._errors += 1
        if self._errors <= _MOST_ERRORS:
            self._report(wire.broke(error, shard=self._shard, index=request.index if request else None))

    def _broken(
        self, request: Request, error: BaseException, sent_transfer: Transfer | None
    ) -> AttemptResult:
        os_errno = error.errno or 0 if isinstance(error, OSError) else fd_exhaustion_errno()
        failure = transfer_errors.broken(error, os_errno=os_errno, sent=sent_transfer is not None)
        if sent_transfer is not None:
            with suppress(Exception):  # including its times, if libcurl still has them
                return sent_transfer.end_with(failure)
        return result_without_transfer(request, self._clock.wall_ns(), failure)

    @property
    def waiting(self) -> int:
        """The number of results that the next `flush` reports."""
        return len(self._finished)

    def flush(self) -> None:
        """Report what was added, in parts, because the daemon's other threads wait while it decodes one."""
        part, size = list[AttemptResult](), 0
        for result in self._finished:
            part.append(result)
            size += len(result.body) + sum(map(len, result.headers))
            if size > _MOST_BYTES or result is self._finished[-1]:
                self._report(AttemptResults(shard=self._shard, finished=part))
                part, size = [], 0
        self._finished = []


class Guard:
    """
    A context manager: an error in its block ends one request, and no other. It is a class, because every
    step of every request has one, and a generator takes five times as long.
    """

    __slots__ = ("_request", "_results", "_transfer", "_undo")

    def __init__(
        self, results: Results, request: Request, transfer: Transfer | None, undo: Callable[[], None] | None
    ) -> None:
        self._results = results
        self._request = request
        self._transfer = transfer
        self._undo = undo

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self._results.add_broken(self._request, error, self._transfer)
        with suppress(Exception):
            self._results.report_error(error, self._request)
        with suppress(Exception):
            if self._undo is not None:
                self._undo()
        return True


def result_without_transfer(
    request: Request, now_ns: int, failure: TransferFailure | None = None
) -> AttemptResult:
    """
    Return a result that does not come from a transfer: the request has not left, or all that is known is that
    it may have left.

    Args:
        now_ns: Wall clock.
        failure: Why it ended; None if it was released later than its grace time allows.
    """
    return AttemptResult(
        index=request.index,
        finished_ns=now_ns,
        cause=failure.cause if failure else None,
        detail=failure.detail if failure else "",
        unknown=failure.unknown if failure else False,
        late=failure is None,
    )
