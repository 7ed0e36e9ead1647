"""What a lane reports: each request exactly once, whatever breaks."""

from collections.abc import Callable, Collection
from contextlib import suppress
from types import TracebackType

from scheduler.clock import Clock
from scheduler.executors.http import verdict, wire
from scheduler.executors.http.shortage import shortage
from scheduler.executors.http.transfer import Transfer
from scheduler.executors.http.verdict import Verdict
from scheduler.executors.http.wire import Finished, Request

#: Of bodies and headers, in one report.
_MOST_BYTES = 4 << 20
#: Tracebacks that one lane reports; what follows is most likely the same.
_MOST_ERRORS = 3


class Results:
    """
    The results of one lane. Belongs to its thread; only `withdraw` may be called from another one.

    Args:
        shard: The number of the lane's shard.
        report: Takes results and errors.
    """

    def __init__(self, shard: int, *, clock: Clock, report: Callable[[wire.Report], None]) -> None:
        self._shard = shard
        self._clock = clock
        self._report = report
        self._settled: set[int] = set()
        self._finished: list[Finished] = []
        self._errors = 0

    def is_settled(self, request: Request) -> bool:
        """Whether the request has its result, or was withdrawn."""
        return request.index in self._settled

    def withdraw(self, indexes: Collection[int]) -> None:
        """Report nothing of these requests."""
        self._settled.update(indexes)

    def add(self, finished: Finished) -> None:
        """Report this with the next `flush`."""
        self._settled.add(finished.index)
        self._finished.append(finished)

    def add_late(self, request: Request) -> None:
        """Report that a request was not started, because its grace time had passed."""
        self.add(never_started(request, self._clock.wall_ns()))

    def add_refused(self, request: Request, error: Exception) -> None:
        """Report that libcurl does not take a request."""
        self.add(never_started(request, self._clock.wall_ns(), verdict.not_taken(error)))

    def add_broken(self, request: Request, error: BaseException, transfer: Transfer | None = None) -> None:
        """
        Report a request that an unforeseen error has ended: `unknown` if it may have left, otherwise failed and not sent.

        The last resort, which never raises. A request that cannot even be reported is `unknown` when the shard has ended.

        Args:
            transfer: Its transfer, if there is one.
        """
        if not self.is_settled(request):
            sent = transfer is not None and transfer.may_have_left
            with suppress(Exception):
                self.add(self._broken(request, error, transfer if sent else None))

    def guard(self, request: Request, transfer: Transfer | None = None, *, undo: Callable[[], None] | None = None) -> "Guard":
        """
        Return a guard for a step of one request.

        Args:
            request, transfer: As for `add_broken`.
            undo: Called after an error, once the request is reported.
        """
        return Guard(self, request, transfer, undo)

    def tell(self, error: BaseException, request: Request | None = None) -> None:
        """Report an error with its traceback; of many errors only the first ones."""
        self._errors += 1
        if self._errors <= _MOST_ERRORS:
            self._report(wire.broke(error, shard=self._shard, index=request.index if request else None))

    def _broken(self, request: Request, error: BaseException, sent: Transfer | None) -> Finished:
        os_errno = error.errno or 0 if isinstance(error, OSError) else shortage()
        why = verdict.broken(error, os_errno=os_errno, sent=sent is not None)
        if sent is not None:
            with suppress(Exception):  # with its times, if libcurl still has them
                return sent.end_by(why)
        return never_started(request, self._clock.wall_ns(), why)

    @property
    def waiting(self) -> int:
        """The number of results that the next `flush` reports."""
        return len(self._finished)

    def flush(self) -> None:
        """Report what was added, in parts: while the daemon decodes a report, its other threads wait."""
        some, size = list[Finished](), 0
        for one in self._finished:
            some.append(one)
            size += len(one.body) + sum(map(len, one.headers))
            if size > _MOST_BYTES or one is self._finished[-1]:
                self._report(wire.Results(shard=self._shard, finished=some))
                some, size = [], 0
        self._finished = []


class Guard:
    """
    A `with` block in which an error ends one request, and no other. It is a class, because every step of every request has one,
    and a generator takes five times as long.
    """

    __slots__ = ("_request", "_results", "_transfer", "_undo")

    def __init__(self, results: Results, request: Request, transfer: Transfer | None, undo: Callable[[], None] | None) -> None:
        self._results = results
        self._request = request
        self._transfer = transfer
        self._undo = undo

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> bool:
        if not isinstance(error, Exception):
            return False
        self._results.add_broken(self._request, error, self._transfer)
        with suppress(Exception):
            self._results.tell(error, self._request)
        with suppress(Exception):
            if self._undo is not None:
                self._undo()
        return True


def never_started(request: Request, now_ns: int, verdict: Verdict | None = None) -> Finished:
    """
    Return the result of a request that has not left, or that may have left and nothing else is known about it.

    Args:
        now_ns: Wall clock.
        verdict: Why it ended; None if it was released later than its grace time allows.
    """
    return Finished(
        index=request.index,
        started_ns=0,
        finished_ns=now_ns,
        duration_ns=0,
        armed=False,
        cause=verdict.cause if verdict else None,
        detail=verdict.detail if verdict else "",
        unknown=verdict.unknown if verdict else False,
        late=verdict is None,
    )
