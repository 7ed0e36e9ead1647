"""The thread of one Python job: prepared before T, entered at T. Its result is evaluated by the daemon."""

import contextlib
import ctypes
import json
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from scheduler.clock import Clock
from scheduler.executors.python import declared, occurrence, output, texts
from scheduler.executors.python.answer import Answer, Unfit
from scheduler.executors.python.board import PREPARING, Board
from scheduler.executors.python.call import Call
from scheduler.executors.python.given import Failure, json_of
from scheduler.executors.python.limits import is_exhausted
from scheduler.executors.python.loading import CannotLoad, Loader, StillLoading, own_frames
from scheduler.executors.python.occurrence import Running
from scheduler.executors.python.output import Output
from scheduler.executors.python.view import View
from scheduler.executors.python.wire import Finished, Work
from scheduler.instants import SECOND
from scheduler.outcome import Cause
from scheduler.release import priority
from scheduler.release.gate import Gate
from scheduler.release.latch import Latch
from scheduler.release.party import Party

if TYPE_CHECKING:
    from flask import Flask

#: unshare(2): a working directory and a umask of one's own.
_CLONE_FS = 0x200


class _TooLate(Exception):
    """Ready, but later than its grace."""


class Prepared(Protocol):
    """A piece of work that is ready to be entered."""

    def enter(self) -> Any:
        """Start it, at T; return its result."""

    def answer(self, result: Any) -> Answer:
        """Convert its result; called when others no longer wait for the GIL."""

    def leave(self, error: BaseException | None) -> None:
        """Tear it down, whatever has happened."""


class Job(Party):
    """
    Args:
        slot: Its place on the board.
        turn: Held while it is prepared, before T.
        all_out: Opened once all jobs of the shard are released.
        report: Takes its results, of which the first counts, from any thread.
        progress: Takes its progress, from any thread.
    """

    def __init__(
        self,
        work: Work,
        app: "Flask | None",
        *,
        slot: int,
        board: Board,
        clock: Clock,
        gate: Gate,
        loader: Loader,
        shard: int,
        turn: AbstractContextManager[object] | None = None,
        all_out: Latch,
        report: Callable[[Finished], None],
        progress: Callable[[float, str], None] = lambda _part, _text: None,
    ) -> None:
        super().__init__(f"job {work.occurrence}")
        self.work = work
        self.withdrawn = False
        self._app = app
        self._slot = slot
        self._board = board
        self._clock = clock
        self._gate = gate
        self._loader = loader
        self._shard = shard
        self._turn = turn or contextlib.nullcontext()
        self._all_out = all_out
        self._report = report
        self._running = Running(work.occurrence, progress)
        self._output = Output(work.keep_output)
        self._prepared: Prepared | None = None
        self._armed = False
        self._may_start = self._is_written_off = False
        self._beginning = threading.Lock()
        self._started_ns = self._began_ns = self._waited_ns = 0

    @property
    def is_armed(self) -> bool:
        """Whether it is ready to be entered."""
        return self._armed

    @property
    def has_begun(self) -> bool:
        """Whether its function was entered, or the app called."""
        return bool(self._began_ns)

    @property
    def ends_at_ns(self) -> int | None:
        """When its time is over, monotonic clock; None if it was not entered."""
        return self._began_ns + self.work.total_ns if self._began_ns else None

    def arm(self, deadline_ns: int) -> None:
        _unshare_folder()
        priority.give_way()  # the lanes come first, until it is entered
        output.current.set(self._output)
        occurrence.enter(self._running)
        if self._gate.wait_open(own=self._shard, deadline_ns=deadline_ns):
            # What it raises, even by sys.exit(), it raises again at T: arming never decides whether a job runs.
            with contextlib.suppress(BaseException), self._turn:
                self._prepared = self._prepare(max(deadline_ns - self._clock.wall_ns(), 0) / SECOND)
                self._armed = True

    def last_look(self) -> None:
        """Do nothing: what was prepared stays as it is."""

    def go(self, released_at_ns: int) -> None:
        self._may_start = not self.withdrawn and released_at_ns <= self.work.latest_ns

    def drain(self) -> None:
        if self._may_start:
            self._run_it()
        else:
            self.go_home()
            if not self.withdrawn:
                self._finish(late=True)

    def go_home(self) -> None:
        if self._prepared is not None:
            self._leave(None)

    def give_up(self, error: BaseException) -> None:
        self._finish(cause=Cause.EXECUTOR, detail=f"a bug in tminus: {texts.of_error(error)}", unknown=bool(self._started_ns))

    def no_thread(self) -> None:
        """Report that there was no thread for it."""
        self._finish(cause=Cause.RESOURCE, detail="no thread could be started for it")

    def cancel(self) -> None:
        """Ask it to stop: it was cancelled. It ends in its own way."""
        self._running.tell_to_stop()

    def tell_to_stop(self) -> None:
        """Ask it to stop, and write it off: its time is over."""
        self._is_written_off = True
        self._running.tell_to_stop()
        words = f"not done after {self.work.total_ns / SECOND:g} s (timeout.total); a thread cannot be stopped, it was told"
        self._finish(cause=Cause.TIMEOUT, detail=words, still_runs=True)

    def write_off_late(self) -> bool:
        """Write it off, because its import has taken longer than its grace; return False if it has begun at this moment."""
        with self._beginning:
            if self._began_ns:
                return False
            self._is_written_off = True
        self._finish(late=True)
        return True

    def _run_it(self) -> None:
        error: BaseException | None = None
        answer = Answer()
        cause, detail, frames = None, "", ""
        try:
            prepared = self._prepared = self._prepared or self._prepare()
            self._begin()
            try:
                result = prepared.enter()
            finally:
                self._let_others_enter()
            answer = prepared.answer(result)
        except _TooLate:
            self._finish(late=True)
            return
        except CannotLoad as unready:
            self._output.write(unready.traceback.encode(errors="backslashreplace"))
            cause, detail = Cause.DEFINITION, str(unready)
        except Unfit as unfit:
            cause, detail = unfit.cause, str(unfit)
        except SystemExit as exit_:
            code = texts.said(partial(repr, exit_.code), "…")
            error, cause, detail = exit_, Cause.EXCEPTION, f"sys.exit({code}) ended the job"
        except BaseException as raised:  # noqa: BLE001  whatever a job raises ends the job, not the runner
            cause = Cause.RESOURCE if not self._began_ns and is_exhausted(raised) else Cause.EXCEPTION
            error, detail, frames = raised, texts.of_error(raised), own_frames(raised)
            self._output.write(frames.encode(errors="backslashreplace"))
            if isinstance(raised, Failure):
                answer = Answer(body=json.dumps(json_of(raised)).encode())
        finally:
            self._leave(error)
            if self._began_ns and not self._is_written_off:
                self._board.mark(self._slot, -self._started_ns)
        self._finish(answer, cause=cause, detail=detail, frames=frames)

    def _begin(self) -> None:
        with self._beginning:
            if self._is_written_off or self._clock.wall_ns() > self.work.latest_ns:
                raise _TooLate
            self._began_ns = self._clock.monotonic_ns()
        priority.lower_priority()
        self._started_ns = self._clock.wall_ns()
        self._board.mark(self._slot, self._started_ns)

    def _let_others_enter(self) -> None:
        """Wait until all jobs are entered: what follows a job is Python, and would take the GIL from those that are not."""
        ended_ns = self._clock.monotonic_ns()
        self._all_out.wait()
        self._waited_ns = self._clock.monotonic_ns() - ended_ns

    def _prepare(self, import_s: float | None = None) -> Prepared:
        """Prepare it. The board shows this until its import has ended: if the process ends now, that is the likely cause."""
        self._board.mark(self._slot, PREPARING)
        try:
            made = self._made(import_s)
        except StillLoading:
            raise
        except BaseException:
            self._board.mark(self._slot, 0)
            raise
        self._board.mark(self._slot, 0)
        return made

    def _made(self, import_s: float | None) -> Prepared:
        declared.check(self.work, self._app, lambda ref: self._loader.load(ref, import_s))
        if self.work.ref is not None:
            function = self._loader.load(self.work.ref, import_s)
            return Call(self.work, self.work.ref, function, self._app)
        if self._app is None:
            raise CannotLoad("a view needs an application")
        return View(self.work, self._app)

    def _leave(self, error: BaseException | None) -> None:
        """Tear it down. If that raises, the traceback goes into its output, and no other job is affected."""
        prepared, self._prepared = self._prepared, None
        try:
            if prepared is not None:
                prepared.leave(error)
        except BaseException as raised:  # noqa: BLE001  as above
            self._output.write(f"while its contexts were torn down:\n{own_frames(raised)}".encode(errors="backslashreplace"))

    def _finish(
        self,
        answer: Answer | None = None,
        *,
        cause: Cause | None = None,
        detail: str = "",
        frames: str = "",
        unknown: bool = False,
        late: bool = False,
        still_runs: bool = False,
    ) -> None:
        answer = answer or Answer()
        ended_ns = self._clock.monotonic_ns()
        self._report(
            Finished(
                index=self.work.index,
                started_ns=self._started_ns,
                finished_ns=self._clock.wall_ns(),
                duration_ns=ended_ns - self._began_ns - self._waited_ns if self._began_ns else 0,
                armed=self._armed,
                status=answer.status,
                cause=cause,
                detail=texts.bounded(detail),
                unknown=unknown,
                late=late,
                still_runs=still_runs,
                headers=answer.headers,
                body=answer.body[: self.work.keep_body],
                body_size=len(answer.body),
                output=self._output.value(),
                traceback=frames,
            )
        )


def _unshare_folder() -> None:
    """Give this thread a working directory and a umask of its own. Linux only; elsewhere all jobs share them."""
    if sys.platform == "linux":
        ctypes.CDLL(None).unshare(_CLONE_FS)
