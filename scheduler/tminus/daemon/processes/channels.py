"""
The channels to executors: how each kind is started, and its messages. The lanes get msgpack, runners get JSON
lines.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Protocol

import tminus
from tminus.daemon.log.log_output import stderr_of_executor
from tminus.daemon.processes import slots
from tminus.daemon.processes.commands import AnyWork, Command, Order
from tminus.executors.http import wire as http_wire
from tminus.executors.protocol import Arm, Call, Hello, Report
from tminus.executors.python import wire as python_wire
from tminus.executors.python.launch import command_of, environment_of, look_at
from tminus.executors.python.start_table import StartTable
from tminus.executors.python.wire import Work
from tminus.instants import MS
from tminus.model.code_job import CodeJob, parse_code_jobs
from tminus.model.definitions import App, DaemonSettings

_PACKAGE = Path(tminus.__file__).resolve().parent
#: The variables of the daemon's environment that the lanes need. None is a secret.
_FOR_LANES = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "LD_LIBRARY_PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "SYSTEMROOT",
)

#: Without a real-time priority, Python jobs start this long after T if the batch has requests, which need the
#: cores at T.
_REQUESTS_FIRST_NS = 3 * MS // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPlan:
    """
    The times and settings for arming and releasing a shard. Instants are wall clock.

    Attributes:
        deadline_ns: Armed or not, all wait at the barrier by then.
        give_up_ns: Without a release by then, none starts.
        settings: The settings of the daemon.
        batch_has_requests: Whether there are HTTP requests in the batch.
        one_by_one: Whether Python jobs are armed one after another.
        realtime: Whether the executor takes a real-time priority around T.
    """

    planned_at_ns: int
    deadline_ns: int
    give_up_ns: int
    settings: DaemonSettings = field(default_factory=DaemonSettings)
    batch_has_requests: bool = False
    one_by_one: bool = False
    realtime: bool = False

    def to_arm(self, shard: int, works: Sequence[AnyWork]) -> Arm[AnyWork]:
        """Return the command that arms a shard, without what only one kind of executor needs."""
        return Arm(
            shard=shard,
            release_at_ns=self.planned_at_ns,
            deadline_ns=self.deadline_ns,
            give_up_ns=self.give_up_ns,
            realtime=self.realtime,
            works=works,
        )


class Channel(Protocol):
    """The way to an executor of one kind."""

    name: str  #: for people, and in the ledger

    def start(self) -> "subprocess.Popen[bytes]":
        """
        Start the process.

        Raises:
            OSError: it cannot be started.
        """

    def encode(self, command: Command) -> bytes:
        """
        Return the bytes of a command.

        Raises:
            Exception: it cannot be encoded.
        """

    def read(self, stream: BinaryIO) -> Iterator[Report]:
        """Yield reports until the stream ends."""

    def arm(
        self, shard: int, works: Sequence[AnyWork], plan: ShardPlan, open_orders: Sequence[Order]
    ) -> Arm[AnyWork]:
        """Return the command that arms a shard; `open_orders` have not ended."""

    def find_entered(self, order: Order) -> Mapping[int, int] | None:
        """Return when works of an order were entered, by their index; None if that is unknown."""

    def find_loading(self, order: Order) -> Sequence[int]:
        """Return which works of an order were loading when their process died, as far as it is known."""

    def count_running(self, order: Order) -> int:
        """Return in how many works of an order user code was running when their process died."""

    def is_accepted(self, order: Order) -> bool:
        """Whether the process has begun with a call; False if it is unknown."""

    def close(self) -> None:
        """Free what its processes share. No further process is started."""


class HttpChannel:
    """The HTTP executor."""

    encode = staticmethod(http_wire.encode)
    read = staticmethod(http_wire.read_reports)

    def __init__(self, host: str) -> None:
        self.name = f"http-1@{host}"

    def start(self) -> "subprocess.Popen[bytes]":
        environment = {name: os.environ[name] for name in _FOR_LANES if name in os.environ}
        # Started by its module name, because its path would put our own folders on the search path.
        environment["PYTHONPATH"] = str(_PACKAGE.parent)
        environment["PYTHONSAFEPATH"] = "1"
        command = [sys.executable, "-m", "tminus.executors.http"]
        return _started(command, environment, name=self.name)

    def arm(
        self, shard: int, works: Sequence[AnyWork], plan: ShardPlan, open_orders: Sequence[Order]
    ) -> Arm[AnyWork]:
        return replace(
            plan.to_arm(shard, works),
            lanes=plan.settings.lanes,
            max_connections=plan.settings.max_connections,
        )

    def find_entered(self, order: Order) -> None:
        """Return None: lanes leave no trace."""

    def find_loading(self, order: Order) -> Sequence[int]:
        return ()

    def count_running(self, order: Order) -> int:
        return 0

    def is_accepted(self, order: Order) -> bool:
        return False

    def close(self) -> None:
        """Do nothing: lanes share nothing."""


class RunnerChannel:
    """
    The runner of one application, or of functions that need none.

    Args:
        app: The application; None for functions that need none.
        folder: The folder of the jobs file, where modules are looked for last.
        isolates: Whether each job has a process, and not a thread.
        start_table: Shared with each runner of this application, one after another.
        on_code_jobs: Called when a runner has reported which jobs the application's code defines; `code_jobs`
            has them then.
    """

    encode = staticmethod(python_wire.encode)

    def __init__(
        self,
        app: App | None,
        *,
        folder: str,
        host: str,
        start_table: StartTable,
        isolates: bool = False,
        on_code_jobs: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = f"python-{app.name if app else 'call'}{'-isolated' if isolates else ''}@{host}"
        self.start_table = start_table
        self.code_jobs: Sequence[CodeJob] | None = None  #: None until a runner has reported it
        self._on_code_jobs = on_code_jobs
        self._app = app
        self._folder = folder
        self._verb = "fork" if isolates else "serve"
        self._lock = threading.Lock()
        self._slots = 0

    def start(self) -> "subprocess.Popen[bytes]":
        folder = self._app.directory if self._app else self._folder
        command = command_of(self._app, self._verb, str(self.start_table.descriptor), folder)
        look_at(folder, command[0])
        return _started(
            command,
            environment_of(self._app, self._folder),
            name=self.name,
            passed=[self.start_table.descriptor],
        )

    def read(self, stream: BinaryIO) -> Iterator[Report]:
        for report in python_wire.read_reports(stream):
            if isinstance(report, Hello) and not report.error and self._app:
                self.code_jobs = parse_code_jobs(
                    report.jobs, app=self._app.name, directory=self._app.directory
                )
                self._on_code_jobs()
            yield report

    def arm(
        self, shard: int, works: Sequence[AnyWork], plan: ShardPlan, open_orders: Sequence[Order]
    ) -> Arm[AnyWork]:
        arm = plan.to_arm(shard, works)
        requests_first = plan.batch_has_requests and not plan.realtime
        return replace(
            arm,
            release_at_ns=arm.release_at_ns + (_REQUESTS_FIRST_NS if requests_first else 0),
            slots=self._take_slots(slots.count_slots(works), open_orders),
            one_by_one=plan.one_by_one,
        )

    def call(self, number: int, work: Work, open_orders: Sequence[Order]) -> Call[Work]:
        """Return the command that calls a function; `open_orders` as for `arm`."""
        return Call(call=number, slot=self._take_slots(1, open_orders), work=work)

    def _take_slots(self, count: int, open_orders: Sequence[Order]) -> int:
        with self._lock:
            first = slots.find_free_slots(self._slots, count, open_orders)
            self._slots = first + count
        for slot in range(first, first + count):
            self.start_table.mark(slot, 0)  # removes the mark of an earlier work
        return first

    def find_entered(self, order: Order) -> Mapping[int, int]:
        marks = {index: self.start_table.entered_ns(slot) for index, slot in slots.slots_of(order).items()}
        return {index: entered_ns for index, entered_ns in marks.items() if entered_ns}

    def find_loading(self, order: Order) -> Sequence[int]:
        if self._verb != "serve":  # a work in a process of its own ends only that process
            return ()
        return [index for index, slot in slots.slots_of(order).items() if self.start_table.is_loading(slot)]

    def count_running(self, order: Order) -> int:
        return sum(self.start_table.is_busy(slot) for slot in slots.slots_of(order).values())

    def is_accepted(self, order: Order) -> bool:
        return isinstance(order, Call) and self.start_table.is_accepted(order.slot)

    def close(self) -> None:
        self.start_table.close()


def _started(
    command: Sequence[str], environment: Mapping[str, str], *, name: str, passed: Sequence[int] = ()
) -> "subprocess.Popen[bytes]":
    """
    Start the process of an executor. It starts in `/`: because of vfork(2), this process would wait if the
    new one changed into a folder that hangs.
    """
    with stderr_of_executor(name) as stderr:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            pass_fds=passed,
            env=environment,
            cwd="/",
            start_new_session=True,  # so that processes of its jobs can be found, and ended with it
        )
