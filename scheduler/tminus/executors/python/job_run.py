"""One run of Python work: prepared, entered once, torn down, reported. The daemon evaluates its result."""

import ctypes
import json
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from tminus.executors.protocol import AttemptResult
from tminus.executors.python import current_occurrence, declared, output, texts
from tminus.executors.python.current_occurrence import CurrentOccurrence
from tminus.executors.python.limits import is_exhausted
from tminus.executors.python.loading import CannotLoad, NotInCode, StillLoading, own_frames
from tminus.executors.python.output import Output
from tminus.executors.python.payload_objects import Failure, to_payload
from tminus.executors.python.prepared_call import PreparedCall
from tminus.executors.python.prepared_view import PreparedView
from tminus.executors.python.runner_services import RunnerServices
from tminus.executors.python.start_table import LOADING
from tminus.executors.python.wire import Work
from tminus.executors.python.work_result import UnusableResult, WorkResult
from tminus.instants import SECOND
from tminus.outcome import Cause, Phase
from tminus.policies.misfire import is_misfire
from tminus.release import priority

#: How long a function may take to stop after it was cancelled.
_STOP_NS = 5 * SECOND
#: unshare(2): gives a thread its own working directory and umask.
_CLONE_FS = 0x200


class _TooLate(Exception):
    """The work is prepared, but its grace time has passed."""


class Prepared(Protocol):
    """A piece of work that is ready to be entered."""

    def enter(self) -> Any:
        """Run it, at T; return its result."""

    def encode_result(self, result: Any) -> WorkResult:
        """Return the encoded result. Called when other jobs no longer wait for the GIL."""

    def tear_down(self, error: BaseException | None) -> None:
        """Tear it down, whatever has happened."""


class AllOut(Protocol):
    """All jobs of a shard, as one of them sees them."""

    def wait(self, timeout_s: float) -> object:
        """Wait until all of them have started, at most this long."""


class JobRun:
    """
    One run. `begin_thread`, `prepare`, `run`, `call` and `stand_down` belong to the job's thread. The other
    methods may be called from any thread.

    Args:
        slot: Its slot in the start table.
        report: Takes its results, from any thread. The first one counts.
        progress: Takes its progress, from any thread.
        on_begun: Called when it is entered.
        all_out: Lets it wait until all jobs of its shard have started; None if it is not to wait, as in a
            `Call`.

    Attributes:
        is_armed: Whether it was ready to be entered before its start.
        is_over: Whether its thread has nothing left to do for it.
    """

    def __init__(
        self,
        work: Work,
        services: RunnerServices,
        *,
        slot: int,
        report: Callable[[AttemptResult], None],
        progress: Callable[[float, str], None] = lambda _fraction, _text: None,
        on_begun: Callable[[], None] = lambda: None,
        all_out: AllOut | None = None,
    ) -> None:
        self.work = work
        self.is_armed = self.is_over = False
        self._services = services
        self._clock = services.clock
        self._slot = slot
        self._report = report
        self._on_begun = on_begun
        self._all_out = all_out
        self._running = CurrentOccurrence(work.occurrence, progress, run_id=work.run_id)
        self._output = Output(work.keep_output)
        self._prepared: Prepared | None = None
        self._is_written_off = False
        self._cancelled_ns: int | None = None  #: when it was cancelled, monotonic clock
        self._beginning = threading.Lock()
        self._started_ns = 0  #: when it was entered, wall clock
        self._began_ns = 0  #: the same, monotonic clock
        self._waited_ns = 0  #: how long it waited after its function for the other jobs of its shard
        self._phases: dict[str, int] = {}

    @property
    def has_begun(self) -> bool:
        """Whether its function was entered, or the application called."""
        return bool(self._began_ns)

    @property
    def ends_at_ns(self) -> int | None:
        """When its time is over, monotonic clock; None if it was not entered."""
        if not self._began_ns:
            return None
        ends_ns, cancelled_ns = self._began_ns + self.work.total_ns, self._cancelled_ns
        return ends_ns if cancelled_ns is None else min(ends_ns, cancelled_ns + _STOP_NS)

    def begin_thread(self) -> None:
        """Give the calling thread the job's folder, priority, output and current occurrence."""
        _unshare_folder()
        priority.give_way()  # to the lanes, until it is entered
        output.current.set(self._output)
        current_occurrence.enter(self._running)

    def prepare(self, import_s: float | None = None) -> Prepared:
        """
        Prepare it. The start table shows this until `rest`, or until the job is entered, because a process
        that ends meanwhile most likely ends by this preparation.

        Args:
            import_s: How long to wait for its import; None for no limit.

        Raises:
            StillLoading: its import continues.
            BaseException: from its import and its contexts.
        """
        self._mark(LOADING)
        try:
            prepared = self._prepared = self._make_prepared(import_s)
        except StillLoading:
            raise
        except BaseException:
            self._mark(0)
            raise
        self._phases = {Phase.ARMED: self._clock.wall_ns()}
        return prepared

    def rest(self) -> None:
        """Note that it is armed: it is prepared, and waits for its start."""
        self.is_armed = True
        self._mark(0)

    def note_release(self, released_at_ns: int) -> None:
        """Note when it was released, wall clock: one that was ready only later was not armed."""
        self.is_armed = self.is_armed and self._phases[Phase.ARMED] <= released_at_ns

    def call(self) -> None:
        """Run it now, from its import to its report, on the calling thread."""
        try:
            self.begin_thread()
            self.run()
        except BaseException as error:  # noqa: BLE001  the outermost frame: what is not reported yet is not lost
            self.report_failure(error)
        finally:
            self.is_over = True

    def stand_down(self) -> None:
        """Tear down what was prepared."""
        if self._prepared is not None:
            self._tear_down(None)

    def finish_late(self) -> None:
        """Report that it was not entered, because it is too late."""
        self._finish(late=True)

    def report_failure(self, error: BaseException) -> None:
        """Report that an unforeseen error has ended it."""
        self._finish(
            cause=Cause.EXECUTOR,
            detail=f"a bug in tminus: {texts.describe_error(error)}",
            unknown=bool(self._started_ns),
        )

    def no_thread(self) -> None:
        """Report that there was no thread for it."""
        self._finish(cause=Cause.RESOURCE, detail="no thread could be started for it")

    def cancel(self) -> bool:
        """
        Ask it to stop, because it was cancelled. If it was not entered, it never is.

        Returns:
            Whether it was entered. Then it reports its own end, or its time is over soon.
        """
        if self._cancelled_ns is None:
            self._cancelled_ns = self._clock.monotonic_ns()
        self._running.request_stop()
        return not self.give_up()

    def request_stop(self) -> None:
        """Ask it to stop, and write it off, because its time is over."""
        self._is_written_off = True
        self._running.request_stop()
        words = (
            f"not done after {self.work.total_ns / SECOND:g} s (timeout.total); its thread cannot be "
            "killed, so its function was asked to stop"
        )
        self._finish(cause=Cause.TIMEOUT, detail=words, still_runs=True)

    def give_up(self) -> bool:
        """Give it up before it is entered: it is late or cancelled. Return False if it was entered."""
        with self._beginning:
            if self._began_ns:
                return False
            self._is_written_off = True
        self._finish(late=True)
        return True

    def run(self) -> None:
        """Enter it, and report its result. Prepare it first if it is not prepared."""
        error: BaseException | None = None
        encoded = WorkResult()
        cause, detail, frames, raised_names = None, "", "", list[str]()
        not_in_code = False
        try:
            prepared = self._prepared or self.prepare()
            self._begin()
            try:
                result = prepared.enter()
            finally:
                self._let_others_enter()
            encoded = prepared.encode_result(result)
        except _TooLate:
            self._mark(0)
            self._finish(late=True)
            return
        except CannotLoad as unready:
            self._output.write(unready.traceback.encode(errors="backslashreplace"))
            cause, detail = Cause.DEFINITION, str(unready)
            not_in_code = isinstance(unready, NotInCode)
        except UnusableResult as unfit:
            cause, detail = unfit.cause, str(unfit)
        except SystemExit as exit_:
            code = texts.user_text(partial(repr, exit_.code), "…")
            error, cause, detail = exit_, Cause.EXCEPTION, f"sys.exit({code}) ended the job"
        except BaseException as raised:  # noqa: BLE001  this ends the job, not the runner
            cause = Cause.RESOURCE if not self._began_ns and is_exhausted(raised) else Cause.EXCEPTION
            error, detail, frames = raised, texts.describe_error(raised), own_frames(raised)
            raised_names = texts.class_names(raised)
            self._output.write(frames.encode(errors="backslashreplace"))
            if isinstance(raised, Failure):
                encoded = WorkResult(body=json.dumps(to_payload(raised)).encode())
        finally:
            self._tear_down(error)
            if self._began_ns and not self._is_written_off:
                self._mark(-self._started_ns)  # its slot may be another work's once it is written off
        self._finish(
            encoded,
            cause=cause,
            detail=detail,
            frames=frames,
            raised=raised_names,
            not_in_code=not_in_code,
        )

    def _begin(self) -> None:
        with self._beginning:
            now_ns = self._clock.wall_ns()
            if self._is_written_off or is_misfire(now_ns=now_ns, latest_start_ns=self.work.latest_ns):
                raise _TooLate
            self._began_ns = self._clock.monotonic_ns()
        priority.lower_priority()
        self._started_ns = self._clock.wall_ns()
        self._mark(self._started_ns)
        self._on_begun()

    def _mark(self, instant_ns: int) -> None:
        self._services.start_table.mark(self._slot, instant_ns)

    def _let_others_enter(self) -> None:
        """
        Wait until all jobs of the shard are entered, because the encoding of a result would take the GIL, or
        the core, from the others. The wait leaves enough of the job's own time to report.
        """
        if self._all_out is not None:
            ended_ns = self._clock.monotonic_ns()
            left_ns = self._began_ns + self.work.total_ns - ended_ns
            self._all_out.wait(max(left_ns, 0) / 2 / SECOND)
            self._waited_ns = self._clock.monotonic_ns() - ended_ns

    def _make_prepared(self, import_s: float | None) -> Prepared:
        app, loader = self._services.app, self._services.loader
        declared.check(self.work, app, lambda ref: loader.load(ref, import_s))
        if self.work.ref is not None:
            function = loader.load(self.work.ref, import_s)
            return PreparedCall(self.work, self.work.ref, function, app)
        if app is None:
            raise CannotLoad("a view needs an application")
        return PreparedView(self.work, app)

    def _tear_down(self, error: BaseException | None) -> None:
        """Tear it down. If that raises, the traceback goes into the job's output."""
        prepared, self._prepared = self._prepared, None
        try:
            if prepared is not None:
                prepared.tear_down(error)
        except BaseException as raised:  # noqa: BLE001  as above
            self._output.write(
                f"while its contexts were torn down:\n{own_frames(raised)}".encode(errors="backslashreplace")
            )

    def _finish(
        self,
        encoded: WorkResult | None = None,
        *,
        cause: Cause | None = None,
        detail: str = "",
        frames: str = "",
        raised: Sequence[str] = (),
        unknown: bool = False,
        not_in_code: bool = False,
        late: bool = False,
        still_runs: bool = False,
    ) -> None:
        encoded = encoded or WorkResult()
        ended_ns = self._clock.monotonic_ns()
        self._report(
            AttemptResult(
                index=self.work.index,
                started_ns=self._started_ns,
                finished_ns=self._clock.wall_ns(),
                duration_ns=ended_ns - self._began_ns - self._waited_ns if self._began_ns else 0,
                armed=self.is_armed,
                status=encoded.status,
                cause=cause,
                detail=texts.bounded(detail),
                unknown=unknown,
                not_in_code=not_in_code,
                late=late,
                cancelled=self._cancelled_ns is not None,
                still_runs=still_runs,
                headers=encoded.headers,
                body=encoded.body[: self.work.keep_body],
                body_size=len(encoded.body),
                output=self._output.value(),
                traceback=frames,
                raised=raised,
                phases=self._phases,
            )
        )


def _unshare_folder() -> None:
    """Give this thread its own working directory and umask. Linux only; elsewhere all jobs share them."""
    if sys.platform == "linux":
        ctypes.CDLL(None).unshare(_CLONE_FS)
