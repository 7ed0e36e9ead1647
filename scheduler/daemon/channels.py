"""How each kind of executor is started, and its messages: the lanes get msgpack, the runner of an application JSON lines."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import structlog

import scheduler
from scheduler.daemon import slots
from scheduler.daemon.logs import stderr_of_executor
from scheduler.daemon.shards import unsendable
from scheduler.executors.http import wire as http_wire
from scheduler.executors.python import wire as python_wire
from scheduler.executors.python.board import Board
from scheduler.executors.python.launch import command_of, environment_of, look_at
from scheduler.instants import MS
from scheduler.model.code import CodeJob, said_by
from scheduler.model.definitions import App, DaemonSettings, Priority

log = structlog.get_logger()

_PACKAGE = Path(scheduler.__file__).resolve().parent
#: The variables of the daemon's environment that the lanes need; none is a secret.
_FOR_LANES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "SYSTEMROOT")

#: Without a real-time priority, Python jobs start this long after T if the batch has requests, which need the cores at T.
_REQUESTS_FIRST_NS = 3 * MS // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """
    The instants of a shard, wall clock.

    Attributes:
        deadline_ns: Armed or not, all wait at the barrier by then.
        give_up_ns: Without a release by then, none starts.
        beside_requests: There are HTTP requests in the batch.
        one_by_one: Python jobs are prepared in turn.
    """

    t_ns: int
    deadline_ns: int
    give_up_ns: int
    beside_requests: bool = False
    one_by_one: bool = False


class Channel(Protocol):
    """The way to an executor of one kind."""

    name: str  #: for people, and in the ledger

    def start(self) -> "subprocess.Popen[bytes]":
        """
        Start the process.

        Raises:
            OSError: it cannot be started.
        """

    def encode(self, command: Any) -> bytes:
        """
        Return the bytes of a command.

        Raises:
            Exception: it cannot be encoded.
        """

    def unsendable(self, arm: Any, why: str) -> Mapping[int, str]:
        """Return which works of a command cannot be encoded, and why; if each of them can be, all, for this reason."""

    def read(self, stream: BinaryIO) -> Iterator[Any]:
        """Yield reports until the stream ends."""

    def arm(
        self,
        shard: int,
        works: Sequence[Any],
        times: Times,
        settings: DaemonSettings,
        *,
        realtime: bool,
        beside: Sequence[Any] = (),
    ) -> Any:
        """Return the command that arms a shard; `beside` are those of the shards that have not ended."""

    def release(self, shard: int, withdrawn: Sequence[int]) -> Any:
        """Return the command that lets a shard start at T."""

    def withdraw(self, shard: int) -> Any:
        """Return the command that keeps a shard from starting."""

    def entered(self, arm: Any) -> Mapping[int, int] | None:
        """Return when works of a shard have begun, by their index; None if that is unknown."""

    def preparing(self, arm: Any) -> Sequence[int]:
        """Return which works of a shard were being prepared when their process died, as far as that is known."""

    def busy(self, arm: Any) -> int:
        """Return in how many works of a shard a user's code was running when their process died."""

    def close(self) -> None:
        """Free what its processes share; no further one is started."""


class Lanes:
    """The HTTP executor."""

    encode = staticmethod(http_wire.encode)

    def __init__(self, host: str) -> None:
        self.name = f"http-1@{host}"

    def read(self, stream: BinaryIO) -> Iterator[http_wire.Report]:
        for report in http_wire.read_reports(stream):
            if isinstance(report, http_wire.Broke):
                what = {"error": report.error, "traceback": report.traceback}
                log.error("an error in tminus ended a request", executor=self.name, **what)
            else:
                yield report

    def start(self) -> "subprocess.Popen[bytes]":
        environment = {name: os.environ[name] for name in _FOR_LANES if name in os.environ}
        # By its module, never by its path: that would put our own folders on its search path.
        environment["PYTHONPATH"] = str(_PACKAGE.parent)
        environment["PYTHONSAFEPATH"] = "1"
        command = [sys.executable, "-m", "scheduler.executors.http"]
        return _started(command, environment, name=self.name)

    def unsendable(self, arm: http_wire.Arm, why: str) -> Mapping[int, str]:
        return unsendable({one.index: partial(http_wire.encode, arm.with_one(one)) for one in arm.requests}, why)

    def arm(
        self,
        shard: int,
        works: Sequence[http_wire.Request],
        times: Times,
        settings: DaemonSettings,
        *,
        realtime: bool,
        beside: Sequence[http_wire.Arm] = (),
    ) -> http_wire.Arm:
        return http_wire.Arm(
            shard=shard,
            t_ns=times.t_ns,
            deadline_ns=times.deadline_ns,
            give_up_ns=times.give_up_ns,
            lanes=settings.lanes,
            max_connections=settings.max_connections,
            realtime=settings.priority is Priority.AUTO and realtime,
            requests=list(works),
        )

    def release(self, shard: int, withdrawn: Sequence[int]) -> http_wire.Release:
        return http_wire.Release(shard=shard, withdrawn=list(withdrawn))

    def withdraw(self, shard: int) -> http_wire.Withdraw:
        return http_wire.Withdraw(shard=shard)

    def entered(self, arm: http_wire.Arm) -> None:
        """Return None: lanes leave no trace."""

    def preparing(self, arm: http_wire.Arm) -> Sequence[int]:
        return ()

    def busy(self, arm: http_wire.Arm) -> int:
        return 0

    def close(self) -> None:
        """Do nothing: lanes share nothing."""


class Runner:
    """
    The runner of one application, or of functions that need none.

    Args:
        app: The application; None for functions that need none.
        folder: The folder of the jobs file, where modules are looked for last.
        isolates: Whether each job has a process, and not a thread.
        board: Shared with all runners of this application, one after another.
        heard: Called when a runner has reported which jobs the application's code defines; `code` has them then.
    """

    encode = staticmethod(python_wire.encode)

    def __init__(
        self,
        app: App | None,
        *,
        folder: str,
        host: str,
        board: Board,
        isolates: bool = False,
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = f"python-{app.name if app else 'call'}{'-isolated' if isolates else ''}@{host}"
        self.board = board
        self.code: Sequence[CodeJob] | None = None  #: None until a runner has reported it
        self._heard = heard
        self._app = app
        self._folder = folder
        self._verb = "fork" if isolates else "serve"
        self._lock = threading.Lock()
        self._slots = 0

    def start(self) -> "subprocess.Popen[bytes]":
        folder = self._app.directory if self._app else self._folder
        command = command_of(self._app, self._verb, str(self.board.descriptor), folder)
        look_at(folder, command[0])
        return _started(command, environment_of(self._app, self._folder), name=self.name, passed=[self.board.descriptor])

    def unsendable(self, arm: python_wire.Arm, why: str) -> Mapping[int, str]:
        return unsendable({one.index: partial(python_wire.encode, replace(arm, works=[one])) for one in arm.works}, why)

    def read(self, stream: BinaryIO) -> Iterator[python_wire.Report]:
        for report in python_wire.read_reports(stream):
            if isinstance(report, python_wire.Hello) and not report.error and self._app:
                self.code = said_by(self._app, report.jobs)
                self._heard()
            yield report

    def arm(
        self,
        shard: int,
        works: Sequence[python_wire.Work],
        times: Times,
        settings: DaemonSettings,
        *,
        realtime: bool,
        beside: Sequence[python_wire.Arm] = (),
    ) -> python_wire.Arm:
        size = slots.size(works)
        with self._lock:
            first = slots.free(self._slots, size, beside)
            self._slots = first + size
        for work in works:
            self.board.mark(first + work.index, 0)  # of an earlier work
        realtime = settings.priority is Priority.AUTO and realtime
        return python_wire.Arm(
            shard=shard,
            t_ns=times.t_ns + (_REQUESTS_FIRST_NS if times.beside_requests and not realtime else 0),
            deadline_ns=times.deadline_ns,
            give_up_ns=times.give_up_ns,
            realtime=realtime,
            slots=first,
            one_by_one=times.one_by_one,
            works=works,
        )

    def release(self, shard: int, withdrawn: Sequence[int]) -> python_wire.Release:
        return python_wire.Release(shard=shard, withdrawn=withdrawn)

    def withdraw(self, shard: int) -> python_wire.Withdraw:
        return python_wire.Withdraw(shard=shard)

    def entered(self, arm: python_wire.Arm) -> Mapping[int, int]:
        marks = {work.index: self.board.entered_ns(arm.slots + work.index) for work in arm.works}
        return {index: entered_ns for index, entered_ns in marks.items() if entered_ns}

    def preparing(self, arm: python_wire.Arm) -> Sequence[int]:
        works = arm.works if self._verb == "serve" else ()  # a forked one ends itself alone
        return [work.index for work in works if self.board.is_preparing(arm.slots + work.index)]

    def busy(self, arm: python_wire.Arm) -> int:
        return sum(self.board.is_busy(arm.slots + work.index) for work in arm.works)

    def close(self) -> None:
        self.board.close()


def _started(
    command: Sequence[str], environment: Mapping[str, str], *, name: str, passed: Sequence[int] = ()
) -> "subprocess.Popen[bytes]":
    """Start the process of an executor, in /: because of vfork(2) this whole process would wait for a folder that hangs."""
    with stderr_of_executor(name) as stderr:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            pass_fds=passed,
            env=environment,
            cwd="/",
            start_new_session=True,  # what its jobs fork ends with it
        )
