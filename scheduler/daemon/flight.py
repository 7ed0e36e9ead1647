"""A flight: a part of a batch that is sent to one executor, and sent again if that dies."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from scheduler.clock import Clock
from scheduler.daemon.channels import Runner, Times
from scheduler.daemon.redaction import Redaction
from scheduler.daemon.shards import Shard, ShardEvent
from scheduler.daemon.supervisor import Supervisor
from scheduler.executors.http import wire as http_wire
from scheduler.executors.python import wire as python_wire
from scheduler.instants import SECOND
from scheduler.model.batch import Due
from scheduler.model.definitions import DaemonSettings

#: An executor hangs if it has not armed, or not reported, this long after it should have.
HANGS_NS = 2 * SECOND
#: Bytes that the works of one command may carry: to encode more holds the GIL of the daemon, to decode it that of the executor.
MOST_BYTES = 4 << 20


class Flight:
    """
    Belongs to the thread of its countdown.

    Args:
        executor: Returns the executor that is in use now; a reload changes it.
        tell: Called on other threads with what happens to its shards.
        is_apart: It has a runner of its own and is prepared job by job, because one of its jobs may have ended a runner.
    """

    def __init__(
        self,
        executor: Callable[[], Supervisor],
        *,
        clock: Clock,
        tell: Callable[["Flight", Shard, ShardEvent], None],
        is_apart: bool = False,
    ) -> None:
        self.is_apart = is_apart
        self._executor = executor
        self.supervisor = executor()
        self.outstanding: dict[int, Due] = {}
        self.works: dict[int, Any] = {}
        self.redactions: dict[int, Redaction] = {}
        self.printed: dict[int, bytes] = {}
        self.size = 0  #: of what its works carry, in bytes
        self.is_armed = False
        self.is_released = False
        self.has_begun = False  #: it is reported that a job of it has started
        self._clock = clock
        self._tell = tell
        self._shard: Shard | None = None
        self._in_shard: list[int] = []
        self._hangs_at_ns = 0

    def add(self, index: int, due: Due, work: Any, redaction: Redaction, *, printed: bytes = b"") -> None:
        """
        Add an occurrence, before the flight is armed.

        Args:
            printed: What its `prepare` printed and logged.
        """
        self.size += size_of(work)
        self.works[index], self.redactions[index], self.printed[index], self.outstanding[index] = work, redaction, printed, due

    def move(self, indices: Sequence[int], to: "Flight") -> None:
        """Move these occurrences to another flight."""
        for index in indices:
            due = self.outstanding.pop(index)
            to.add(index, due, self.works[index], self.redactions[index], printed=self.printed[index])

    def arm(self, times: Times, settings: DaemonSettings) -> None:
        """Send what is outstanding to the executor."""
        times = replace(times, one_by_one=self.is_apart)
        self.is_armed = self.is_released = False
        self.supervisor = self._executor()
        self._in_shard = list(self.outstanding)
        works = [self.works[index] for index in self._in_shard]
        channel, realtime = self.supervisor.channel, self.supervisor.may_be_realtime
        self._hangs_at_ns = self._clock.monotonic_ns() + max(times.deadline_ns - self._clock.wall_ns(), 0) + HANGS_NS
        self._shard = self.supervisor.arm(
            lambda number, beside: channel.arm(number, works, times, settings, realtime=realtime, beside=beside),
            lambda shard, event: self._tell(self, shard, event),
            answer_by_ns=self._hangs_at_ns,
        )

    def release(self, *, ends_in_ns: int) -> None:
        """
        Let it start at T, except what is no longer outstanding: the commit is durable.

        Args:
            ends_in_ns: By then all must have been reported.
        """
        if self._shard is not None:
            self.is_released = True
            self._hangs_at_ns = self._clock.monotonic_ns() + ends_in_ns + HANGS_NS
            withdrawn = [index for index in self._in_shard if index not in self.outstanding]
            self.supervisor.write(self.supervisor.channel.release(self._shard.number, withdrawn))

    def when_left(self, index: int, then: Callable[[], None]) -> None:
        """Call this once the thread of a Python job that was written off has ended."""
        if self._shard is None:
            then()
        else:
            self.supervisor.written_off.when_left(self._shard.number, index, then)

    def stop(self, index: int) -> None:
        """Tell a Python job to stop."""
        if self._shard is not None:
            self.supervisor.write(python_wire.Stop(shard=self._shard.number, index=index))

    def withdraw(self) -> None:
        """Tell the executor not to start it; later events of its shard are ignored."""
        shard, self._shard = self._shard, None
        if shard is not None and not self.supervisor.forget(shard):
            self.supervisor.write(self.supervisor.channel.withdraw(shard.number))

    def end_if_apart(self, *, at_once: bool = False) -> None:
        """End a runner of its own, at once or if nothing is outstanding."""
        if self.is_apart and (at_once or not self.outstanding):
            self.supervisor.retire()

    def replace_if_it_hangs(self) -> None:
        """Have the executor replaced if it has not reported in time."""
        now_ns = self._clock.monotonic_ns()
        if self._shard is not None and now_ns >= self._hangs_at_ns:
            self.supervisor.replace(self._shard)
            self._hangs_at_ns = now_ns + HANGS_NS

    def is_of(self, shard: Shard) -> bool:
        """Whether this is its present shard, and not one that was lost."""
        return shard is self._shard


def joined(
    flights: list[Flight],
    executor: Callable[[], Supervisor],
    *,
    clock: Clock,
    tell: Callable[[Flight, Shard, ShardEvent], None],
) -> Flight:
    """Return the flight for this executor that can carry more; create one if there is none. Arguments as for `Flight`."""
    name = executor().name
    flight = next((flight for flight in flights if flight.supervisor.name == name and flight.size < MOST_BYTES), None)
    if flight is None:
        flights.append(flight := Flight(executor, clock=clock, tell=tell))
    return flight


def size_of(work: http_wire.Request | python_wire.Work) -> int:
    """Return how many bytes a work carries."""
    if isinstance(work, http_wire.Request):
        return len(work.body or b"")
    return len(work.arguments) + len(work.given or "") + len(work.request.body)


def is_of_runner(flight: Flight) -> bool:
    """Whether it is of Python jobs; HTTP requests come first."""
    return isinstance(flight.supervisor.channel, Runner)
