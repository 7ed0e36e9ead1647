"""
The process of an executor without a process: it keeps its commands, reports what a test says, and ends when a
test says so.

`ScriptedChannel` starts one for a real `Supervisor`, again after each end.
"""

import itertools
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import pytest

from tests.support.fake_clock import FakeClock
from tminus.daemon.processes import supervisor
from tminus.daemon.processes.channels import Channel, ShardPlan
from tminus.daemon.processes.commands import AnyWork, Command, Event, Order, OrderHandle
from tminus.daemon.processes.supervisor import OnRequest, Supervisor
from tminus.executors.protocol import VERSION, Arm, Call, Hello, Report
from tminus.instants import SECOND

Reports = queue.SimpleQueue[Report | Exception | int]


class ScriptedProcess:
    """
    As much of `ExecutorProcess` as a supervisor uses.

    Attributes:
        commands: The commands that were written, in order.
        reports: What it reports; an `int` is its exit status, an exception a report that makes no sense.
        is_finished: Whether its stdin was closed.
        stuck_for_ns: How long it has read nothing.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self.reports: Reports = queue.SimpleQueue()
        self.is_finished = False
        self.stuck_for_ns = 0
        self._status: int | None = None

    def hello(self, **different: Any) -> None:
        """Report that it is ready."""
        self.reports.put(Hello(**{"version": VERSION, "pid": self.pid, **different}))

    def end(self, status: int = 0) -> None:
        """End with this status, after all that was reported."""
        if self._status is None:
            self._status = status
            self.reports.put(status)

    def put(self, frame: Any, *, first: bool = False) -> bool:
        """Take a command, unless it has ended."""
        if self._status is not None:
            return False
        self.commands.put(frame)  # a test may end it now, before this returns
        return True

    def finish(self) -> None:
        """End by itself."""
        self.is_finished = True
        self.end()

    def kill(self) -> None:
        """End as after SIGKILL."""
        self.end(-9)

    end_session = kill

    def stuck_ns(self) -> int:
        """Return how long it has read nothing."""
        return self.stuck_for_ns

    def wait(self) -> int | None:
        """Return its exit status; one that makes no sense is killed."""
        return self._status


class ScriptedChannel:
    """
    As `Channel`. Commands are not encoded.

    Attributes:
        started: The processes, in order, each once its supervisor has it.
        on_start: Called before each start.
        on_encode: Called with each command before it is written.
        on_entered: Called when the supervisor asks which works were entered.
        entered_ns: Which works were entered, for each order.
        loading: Which works were loading, for each order.
        accepted: The numbers of the calls with which a process has begun.
        is_closed: Whether it was closed.
    """

    name = "python-shop@here"

    def __init__(self) -> None:
        self.started: queue.SimpleQueue[ScriptedProcess] = queue.SimpleQueue()
        self.on_start: Callable[[], object] = lambda: None
        self.on_encode: Callable[[Any], object] = lambda _: None
        self.on_entered: Callable[[], object] = lambda: None
        self.entered_ns: Mapping[int, int] | None = None
        self.loading: Sequence[int] = ()
        self.accepted: set[int] = set()
        self.is_closed = False
        self._pids = itertools.count(101)

    def start(self) -> ScriptedProcess:
        self.on_start()
        self._process = ScriptedProcess(next(self._pids))
        return self._process

    def encode(self, command: Command) -> Any:
        self.on_encode(command)
        return command

    def read(self, reports: Reports) -> Iterator[Report]:
        self.started.put(self._process)
        while not isinstance(report := reports.get(), int):
            if isinstance(report, Exception):
                raise report
            yield report

    def arm(
        self, shard: int, works: Sequence[AnyWork], plan: ShardPlan, open_orders: Sequence[Order]
    ) -> Arm[AnyWork]:
        return replace(plan.to_arm(shard, works), one_by_one=plan.one_by_one)

    def find_entered(self, order: Order) -> Mapping[int, int] | None:
        self.on_entered()
        return self.entered_ns

    def find_loading(self, order: Order) -> Sequence[int]:
        return self.loading

    def count_running(self, order: Order) -> int:
        return 1

    def is_accepted(self, order: Order) -> bool:
        return isinstance(order, Call) and order.call in self.accepted

    def close(self) -> None:
        self.is_closed = True


class Supervised:
    """
    A supervisor with scripted processes.

    Attributes:
        clock: Moved by hand.
        events: What happened to orders: the number of the order, and the event.
        on_request: Takes requests of jobs and the ends of processes; at first, they go to `asked`.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.channel = ScriptedChannel()
        self.events: queue.SimpleQueue[tuple[int, Event]] = queue.SimpleQueue()
        self.asked: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self.on_request: OnRequest = lambda runner, request, _: self.asked.put((runner, request))
        self.supervisor: Supervisor[Channel] = Supervisor(
            cast("Channel", self.channel),
            clock=self.clock,
            on_request=lambda *request: self.on_request(*request),
        )

    def next_process(self, *, is_ready: bool = True) -> ScriptedProcess:
        """Wait for the next process; it has run for a while."""
        process = self.channel.started.get(timeout=30)
        self.clock.pass_by(10 * SECOND)
        if is_ready:
            process.hello()
        return process

    def arm(self, *, works: Sequence[Any] = (), answer_by_ns: int = 1 << 62) -> OrderHandle:
        """Send a shard."""
        plan = ShardPlan(planned_at_ns=0, deadline_ns=0, give_up_ns=0)
        return self.send(lambda number, _: plan.to_arm(number, works), answer_by_ns=answer_by_ns)

    def call(self, *, answer_by_ns: int = 1 << 62) -> OrderHandle:
        """Send a call."""
        return self.send(
            lambda number, _: Call(call=number, slot=number, work=cast("Any", None)),
            answer_by_ns=answer_by_ns,
        )

    def send(
        self, order_of: Callable[[int, Sequence[Order]], Order], *, answer_by_ns: int = 1 << 62
    ) -> OrderHandle:
        """Send an order."""
        return self.supervisor.send(
            order_of, lambda handle, event: self.events.put((handle.number, event)), answer_by_ns=answer_by_ns
        )

    def event(self) -> tuple[int, Event]:
        """Wait for the next event."""
        return self.events.get(timeout=30)


@contextmanager
def supervising(monkeypatch: pytest.MonkeyPatch, clock: FakeClock | None = None) -> Iterator[Supervised]:
    """A supervisor that has started; it ends well."""
    monkeypatch.setattr(supervisor, "ExecutorProcess", lambda process, *, name, clock: process)
    supervised = Supervised(clock or FakeClock())
    supervised.supervisor.start()
    yield supervised
    supervised.supervisor.stop()
    assert supervised.supervisor.is_over
    assert supervised.channel.is_closed
