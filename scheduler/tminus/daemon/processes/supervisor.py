"""The supervisor: starts an executor process, sends it shards and calls, replaces it if it dies or hangs."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

import structlog

from tminus.clock import Clock
from tminus.daemon.processes.channels import Channel
from tminus.daemon.processes.commands import (
    AnyWork,
    Command,
    Event,
    ExecutorDied,
    ExecutorUnavailable,
    Order,
    OrderHandle,
    find_unsendable,
)
from tminus.daemon.processes.executor_process import ExecutorProcess, describe_exit
from tminus.daemon.processes.job_responses import SendResponse
from tminus.daemon.processes.own_pause import OwnPause
from tminus.daemon.processes.written_off import WrittenOff
from tminus.errors import TminusError
from tminus.executors.protocol import (
    Arm,
    Armed,
    AttemptResults,
    Broke,
    Hello,
    JobRequest,
    Left,
    ProcessExited,
    Progress,
    Report,
    Returned,
    ShardEnded,
    Spent,
    Stop,
    Withdraw,
    version_error,
)
from tminus.instants import SECOND

log = structlog.get_logger()

_READY_NS = 20 * SECOND
#: Between two looks at whether it is ready.
_LOOK_S = 0.05
#: After this many processes that died before they were ready, another one most likely does, too.
_MOST_EARLY_DEATHS = 3
#: An application that is not imported by then never will be.
_IMPORT_NS = 60 * SECOND
#: A process that reads nothing for this long, though there are commands for it, hangs.
_HANGS_NS = 5 * SECOND
#: If a process dies this soon after its start, the next one waits a little.
_TOO_SOON_NS = 2 * SECOND
#: In place of an order that no executor gets any more.
_NOTHING: Arm[AnyWork] = Arm(shard=0, release_at_ns=0, deadline_ns=0, give_up_ns=0, realtime=False, works=())
_ENDED = "its executor was ended, and no other one follows"

SomeChannel = TypeVar("SomeChannel", bound=Channel, covariant=True)
#: Takes a request of a job.
OnRequest = Callable[[int, JobRequest | ProcessExited, SendResponse], None]


class Supervisor(Generic[SomeChannel]):
    """
    Keeps one executor running. Thread-safe; no method waits for the executor's process, except `stop`.

    Args:
        channel: To its process.
        on_request: Called with a runner's process id, a request of one of its jobs, and a function that sends
            the response. Also called when that process has ended.

    Attributes:
        on_worn_out: Called on the thread that reads the reports, when a fresh runner is to take further jobs.
        has_reported: Set once the executor has reported that it works, or why not, or has died before.
    """

    def __init__(
        self,
        channel: SomeChannel,
        *,
        clock: Clock,
        on_request: OnRequest = lambda _runner, _request, _respond: None,
    ) -> None:
        self.channel = channel
        self.name = channel.name
        self.may_be_realtime = False
        self.written_off = WrittenOff()
        self.on_worn_out: Callable[[], None] = lambda: None
        self._clock = clock
        self._on_request = on_request
        self._number = self._started_ns = self._ready_ns = 0
        self._lock = threading.Lock()
        self._process: ExecutorProcess | None = None
        self._orders: dict[int, OrderHandle] = {}
        self._broken = ""
        self._died = ""  #: how, before it was ready
        self._early_deaths = 0  #: of processes that were not ready
        self._ready, self._wanted, self._stopping = threading.Event(), threading.Event(), threading.Event()
        self.has_reported = threading.Event()
        self._is_retiring = False
        self._own_pause = OwnPause(_HANGS_NS)
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Start the executor, and a thread that reads its reports and replaces it; returns at once."""
        self._reader = threading.Thread(target=self._supervise, name=f"supervisor {self.name}", daemon=True)
        self._reader.start()

    def wait_until_ready(self) -> None:
        """
        Wait until the executor is ready. If its process dies before, the next one may be ready.

        Raises:
            TminusError: it does not start.
        """
        until_ns = self._clock.monotonic_ns() + _READY_NS
        while not self._ready.wait(_LOOK_S):
            is_late = self._clock.monotonic_ns() > until_ns
            is_over = self._early_deaths >= _MOST_EARLY_DEATHS or self._stopping.is_set()
            if self._broken or is_late or is_over:
                raise TminusError(
                    f"the executor {self.name} does not start",
                    hint=self.broken or "look at what it says above",
                )

    def kill(self) -> None:
        """End the executor, and what its jobs have forked, for good. Returns at once."""
        self._stopping.set()
        self._wanted.set()
        if (process := self._process) is not None:
            process.end_session()

    def stop(self) -> None:
        """End the executor, with what it still runs. Do not wait for a process that the kernel holds."""
        self.kill()
        if self._reader is not None:
            self._reader.join(2)

    @property
    def is_over(self) -> bool:
        """Whether it has ended for good."""
        return self._reader is not None and not self._reader.is_alive()

    @property
    def broken(self) -> str:
        """
        The reason why the executor does not work, such as an application that cannot be imported; empty if it
        works, or if that is unknown.
        """
        return self._broken or self._died

    def retire(self) -> None:
        """End the executor for good once it has nothing to run. Returns at once."""
        with self._lock:
            self._is_retiring = True
        self._end_if_over()

    def send(
        self,
        order_of: Callable[[int, Sequence[Order]], Order],
        on_event: Callable[[OrderHandle, Event], None],
        *,
        answer_by_ns: int,
    ) -> OrderHandle:
        """
        Send a shard or a call as soon as the executor is ready for it.

        Args:
            order_of: Returns the order, by its number and the orders that have not ended.
            on_event: Called with what happens to the order.
            answer_by_ns: The executor hangs if it has neither reported on the order by then nor begun with
                the call. Monotonic clock.
        """
        with self._lock:
            if self._stopping.is_set():
                handle = OrderHandle(0, _NOTHING, on_event)
                handle.report(
                    ExecutorDied(self._clock.wall_ns(), "a fresh one follows", {})
                    if self._is_retiring
                    else ExecutorUnavailable(_ENDED)
                )
                return handle
            self._number += 1
            order = order_of(self._number, [handle.order for handle in self._orders.values()])
            handle = self._orders[self._number] = OrderHandle(
                self._number, order, on_event, answer_by_ns=answer_by_ns
            )
        self._wanted.set()
        if self._ready.is_set():
            self._send(handle)
        return handle

    def forget(self, handle: OrderHandle) -> bool:
        """Drop an order that was not sent; return False if it was sent."""
        with self._lock:
            is_forgotten = not handle.is_sent and self._orders.pop(handle.number, None) is not None
        self._end_if_over()
        return is_forgotten

    def write(self, command: Command, to: ExecutorProcess | None = None) -> bool:
        """
        Have a command written; returns at once. If `to` is given, write only while that process is in use.

        Returns:
            False if the executor has ended, which is reported to its orders, or if the command cannot be
            encoded, which is logged.
        """
        try:
            frame = self.channel.encode(command)
        except Exception:
            log.exception("a command cannot be encoded", executor=self.name, command=type(command).__name__)
            return False
        return self._put(
            frame,
            to or self._process,
            first=not isinstance(command, Withdraw | Stop),  # these may come right after their order
        )

    def is_well(self) -> bool:
        """Whether the executor is ready and takes its commands. If it hangs, replace it."""
        process, now_ns = self._process, self._clock.monotonic_ns()
        with self._lock:  # also for orders whose sender no longer waits
            is_overdue = any(
                handle.is_sent and now_ns > handle.answer_by_ns and not self._is_answered(handle)
                for handle in self._orders.values()
            )
        may_judge = self._own_pause.is_over(now_ns)
        if process is not None and may_judge and (is_overdue or process.stuck_ns() > _HANGS_NS):
            self._kill()
            return False
        return self._ready.is_set()

    def _is_answered(self, handle: OrderHandle) -> bool:
        handle.is_answered = handle.is_answered or self.channel.is_accepted(handle.order)
        return handle.is_answered

    def replace(self, handle: OrderHandle) -> None:
        """
        Replace the executor, which hangs and has this order. All its orders get an `ExecutorDied`.
        """
        by_ns = self._ready_ns + _HANGS_NS if self._ready.is_set() else self._started_ns + _IMPORT_NS
        if handle.number in self._orders and self._clock.monotonic_ns() > by_ns:
            self._kill()

    def _kill(self) -> None:
        if (process := self._process) is not None:
            log.warning("executor hangs, replacing it", executor=self.name, pid=process.pid)
            process.kill()

    def _put(self, frame: bytes, process: ExecutorProcess | None, *, first: bool) -> bool:
        return process is not None and process is self._process and process.put(frame, first=first)

    def _send(self, handle: OrderHandle) -> None:
        try:
            frame = self.channel.encode(handle.order)
        except Exception as error:  # noqa: BLE001  whatever a job's values do to msgpack or JSON
            with self._lock:
                is_waiting = not handle.is_sent and self._orders.pop(handle.number, None) is not None
            if is_waiting:
                handle.report(find_unsendable(handle.order, self.channel.encode, str(error)))
                self._end_if_over()
            return
        with self._lock:  # also around the write: no command on an order goes before the order
            if handle.is_sent or handle.number not in self._orders:
                return
            handle.is_sent = True
            handle.answer_by_ns = max(handle.answer_by_ns, self._clock.monotonic_ns() + _HANGS_NS)
            is_written = self._put(frame, self._process, first=False)
        if not is_written:
            self._lose(handle, "it had already ended")

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            self._started_ns = self._clock.monotonic_ns()
            self._wanted.clear()
            try:
                process = ExecutorProcess(self.channel.start(), name=self.name, clock=self._clock)
            except Exception as error:  # noqa: BLE001  its env_file may hold anything
                self._note_broken(f"it cannot be started: {getattr(error, 'strerror', None) or error}")
            else:
                self._process = process
                if self._stopping.is_set():  # `kill` came a moment before the process was there
                    process.end_session()
                self._read_reports(process)
            if self._broken and not self._stopping.is_set():
                self._wanted.wait()  # each order is worth another try
            elif self._clock.monotonic_ns() - self._started_ns < _TOO_SOON_NS:
                self._stopping.wait(1)
        self._refuse_all(_ENDED)
        self.channel.close()

    def _read_reports(self, process: ExecutorProcess) -> None:
        try:
            for report in self.channel.read(process.reports):
                self._handle_report(process, report)
        except Exception:  # its reports make no sense; this thread goes on and starts the next process
            log.exception("executor cannot be understood, replacing it", executor=self.name, pid=process.pid)
            process.kill()
        status = process.wait()
        self._on_request(process.pid, ProcessExited(pid=process.pid), lambda _response: None)
        if not self._ready.is_set():
            self._early_deaths += 1
            self._died = f"its process ended before it was ready ({describe_exit(status)})"
            self.has_reported.set()
        self._ready.clear()
        self._process = None
        with self._lock:
            sent = [handle for handle in self._orders.values() if handle.is_sent]
        self.written_off.all_left()
        running = sum(self.channel.count_running(handle.order) for handle in sent)
        for handle in sent:
            self._lose(handle, describe_exit(status), running)
        if not self._stopping.is_set() and not self._broken and status != 0:
            log.error("executor died", executor=self.name, pid=process.pid, status=status)

    def _handle_report(self, process: ExecutorProcess, report: Report) -> None:
        match report:
            case Hello():
                self._handle_hello(process, report)
            case JobRequest() | ProcessExited():
                self._on_request(process.pid, report, partial(self.write, to=process))
            case Spent():
                self.on_worn_out()
            case Broke(error=error, traceback=frames):
                log.error(
                    "an error in tminus ended a request", executor=self.name, error=error, traceback=frames
                )
            case Left(shard=number, index=index):
                self.written_off.left(number, index)
            case ShardEnded(shard=number) | Returned(call=number):
                with self._lock:
                    handle = self._orders.pop(number, None)
                if handle:
                    handle.report(report)
                self._end_if_over()
            case Armed(shard=number) | AttemptResults(shard=number) | Progress(call=number):
                if isinstance(report, AttemptResults):
                    self.written_off.take(report)
                if handle := self._orders.get(number):
                    handle.is_answered = True
                    handle.report(report)

    def _handle_hello(self, process: ExecutorProcess, hello: Hello) -> None:
        if error := hello.error or version_error(hello):
            self._note_broken(error)
            process.finish()
            return
        self._broken = self._died = ""
        self._ready_ns, self.may_be_realtime = self._clock.monotonic_ns(), hello.realtime
        self._ready.set()
        self.has_reported.set()
        with self._lock:
            waiting = list(self._orders.values())
        for handle in waiting:
            self._send(handle)

    def _note_broken(self, why: str) -> None:
        if why != self._broken:
            log.error("executor does not work", executor=self.name, error=why)
        self._broken = why
        self.has_reported.set()
        self._refuse_all(why)
        self._end_if_over()

    def _refuse_all(self, why: str) -> None:
        with self._lock:
            waiting, self._orders = list(self._orders.values()), {}
        for handle in waiting:
            handle.report(ExecutorUnavailable(why))

    def _lose(self, handle: OrderHandle, reason: str, running: int = 0) -> None:
        with self._lock:
            if handle.number not in self._orders:
                return
            # Before another order may get the slots of this one, and before the channel is closed.
            entered_ns = self.channel.find_entered(handle.order)
            loading = self.channel.find_loading(handle.order)
            del self._orders[handle.number]
        handle.report(ExecutorDied(self._clock.wall_ns(), reason, entered_ns, loading, running))
        self._end_if_over()

    def _end_if_over(self) -> None:
        """Let a retired executor end by itself, for good, once it has nothing to run."""
        with self._lock:
            if not self._is_retiring or self._orders:
                return
            self._stopping.set()
        self._wanted.set()
        if (process := self._process) is not None:
            process.finish()
