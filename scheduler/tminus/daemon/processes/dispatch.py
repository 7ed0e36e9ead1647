"""A dispatch: a part of a batch that is sent to one executor, and sent again if that dies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tminus.clock import Clock
from tminus.daemon.processes.channels import Channel, RunnerChannel, ShardPlan
from tminus.daemon.processes.commands import AnyWork, Event, OrderHandle
from tminus.daemon.processes.own_pause import OwnPause
from tminus.daemon.processes.supervisor import Supervisor
from tminus.executors.http.wire import Request
from tminus.executors.protocol import Cancel, Release, Withdraw
from tminus.instants import SECOND
from tminus.model.batch import DueOccurrence
from tminus.model.definitions import Priority
from tminus.secrets.redaction import Redaction
from tminus.while_alive import while_alive

#: An executor hangs if it has not armed, or not reported, this long after it should have.
HANGS_NS = 2 * SECOND
#: Limit for the data of the works of one command: while more is encoded or decoded, other threads would wait
#: for the GIL.
MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Item:
    """
    An occurrence of a batch, with the work of its executor.

    Attributes:
        redaction: Removes its secrets from the stored response.
        printed: The output and log of its `prepare`.
    """

    due: DueOccurrence
    work: AnyWork
    redaction: Redaction
    printed: bytes = b""


class Holder(Protocol):
    """A part of a batch: its occurrences without an outcome, by their index."""

    outstanding: dict[int, Item]

    def withdraw(self) -> None:
        """Start none of them."""


class Dispatch:
    """
    A shard, and the executor that it was sent to. Belongs to the thread of its countdown.

    Args:
        executor: Returns the executor that is in use now; a reload changes it.
        on_event: Called on other threads with what happens to its shards.
        is_apart: It has a runner of its own and is armed job by job, because one of its jobs may have ended
            a runner.
    """

    def __init__(
        self,
        executor: Callable[[], Supervisor[Channel]],
        *,
        clock: Clock,
        on_event: Callable[["Dispatch", OrderHandle, Event], None],
        is_apart: bool = False,
    ) -> None:
        self.is_apart = is_apart
        self._executor = executor
        self.supervisor = executor()
        self.outstanding: dict[int, Item] = {}
        self.size = 0  #: bytes of data in its works
        self.is_armed = False
        self.is_released = False
        self.has_begun = False  #: whether a job is reported to have started
        self._clock = clock
        self._on_event = on_event
        self._shard: OrderHandle | None = None
        self._in_shard: list[int] = []
        self._hangs_at_ns = 0
        self._own_pause = OwnPause(HANGS_NS)

    def add(self, item: Item) -> None:
        """Add an occurrence, before the dispatch is armed."""
        self.size += size_of(item.work)
        self.outstanding[item.work.index] = item

    def move(self, indices: Sequence[int], to: "Dispatch") -> None:
        """Move these occurrences to another dispatch."""
        for index in indices:
            to.add(self.outstanding.pop(index))

    def arm(self, plan: ShardPlan) -> None:
        """Send what is outstanding to the executor."""
        self.is_armed = self.is_released = False
        self.supervisor = self._executor()
        self._in_shard = list(self.outstanding)
        works = [item.work for item in self.outstanding.values()]
        channel, may_be_realtime = self.supervisor.channel, self.supervisor.may_be_realtime
        plan = replace(
            plan,
            one_by_one=self.is_apart,
            realtime=may_be_realtime and plan.settings.priority is Priority.AUTO,
        )
        self._hangs_at_ns = (
            self._clock.monotonic_ns() + max(plan.deadline_ns - self._clock.wall_ns(), 0) + HANGS_NS
        )
        self._shard = self.supervisor.send(
            lambda number, open_orders: channel.arm(number, works, plan, open_orders),
            while_alive(self._report),
            answer_by_ns=self._hangs_at_ns,
        )

    def _report(self, shard: OrderHandle, event: Event) -> None:
        self._on_event(self, shard, event)

    def release(self, *, ends_in_ns: int) -> None:
        """
        Release the shard at T, without the works that are no longer outstanding: the commit is durable.

        Args:
            ends_in_ns: The executor must have reported all results after this long.
        """
        if self._shard is not None:
            self.is_released = True
            self._hangs_at_ns = self._clock.monotonic_ns() + ends_in_ns + HANGS_NS
            withdrawn = [index for index in self._in_shard if index not in self.outstanding]
            self.supervisor.write(Release(shard=self._shard.number, withdrawn=withdrawn))

    def cancel(self, index: int) -> None:
        """Cancel a work of the released shard. The executor reports how it ended."""
        if self._shard is not None:
            self.supervisor.write(Cancel(shard=self._shard.number, index=index))

    def when_left(self, index: int, then: Callable[[], None]) -> None:
        """Call `then` once the thread of a Python job that was written off has ended."""
        if self._shard is None:
            then()
        else:
            self.supervisor.written_off.when_left(self._shard.number, index, then)

    def withdraw(self) -> None:
        """Withdraw the shard from the executor, and ignore its later events."""
        shard, self._shard = self._shard, None
        if shard is not None and not self.supervisor.forget(shard):
            self.supervisor.write(Withdraw(shard=shard.number))

    def end_if_apart(self, *, at_once: bool = False) -> None:
        """End a runner of its own, at once or if nothing is outstanding."""
        if self.is_apart and (at_once or not self.outstanding):
            self.supervisor.retire()

    def replace_if_it_hangs(self) -> None:
        """Replace the executor if it has not reported in time."""
        now_ns = self._clock.monotonic_ns()
        if self._own_pause.is_over(now_ns) and self._shard is not None and now_ns >= self._hangs_at_ns:
            self.supervisor.replace(self._shard)
            self._hangs_at_ns = now_ns + HANGS_NS

    def is_current(self, shard: OrderHandle) -> bool:
        """Whether this is the current shard, and not one of a process that has died."""
        return shard is self._shard


def dispatch_for(
    dispatches: list[Dispatch],
    executor: Callable[[], Supervisor[Channel]],
    *,
    clock: Clock,
    on_event: Callable[[Dispatch, OrderHandle, Event], None],
) -> Dispatch:
    """
    Return the dispatch for this executor that can carry more; create one if there is none. Arguments as for
    `Dispatch`.
    """
    name = executor().name
    dispatch = next(
        (
            dispatch
            for dispatch in dispatches
            if dispatch.supervisor.name == name and dispatch.size < MOST_BYTES
        ),
        None,
    )
    if dispatch is None:
        dispatches.append(dispatch := Dispatch(executor, clock=clock, on_event=on_event))
    return dispatch


def size_of(work: AnyWork) -> int:
    """Return the bytes of data in a work."""
    if isinstance(work, Request):
        return len(work.body or b"")
    return len(work.arguments) + len(work.given or "") + len(work.request.body)


def is_of_runner(dispatch: Dispatch) -> bool:
    """Whether its executor is a runner. As a sort key, this puts HTTP requests first."""
    return isinstance(dispatch.supervisor.channel, RunnerChannel)
