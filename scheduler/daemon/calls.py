"""Functions called in the runners of their applications for no T: at once, several together, each reported once."""

import queue
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from scheduler.daemon.call import Call, Came
from scheduler.daemon.channels import Times
from scheduler.daemon.flight import HANGS_NS, MOST_BYTES, Flight, size_of
from scheduler.daemon.redaction import Redaction
from scheduler.daemon.render import CannotRender, Renderer
from scheduler.daemon.shards import Broken, Lost, Shard, ShardEvent, Unsendable
from scheduler.daemon.station import Station
from scheduler.daemon.supervisor import Supervisor
from scheduler.executors.python.wire import Armed, Ended, Finished, Progress, Results
from scheduler.instants import SECOND
from scheduler.model.job import RunnerKey

log = structlog.get_logger()

#: Functions that a runner calls at once; the rest wait their turn.
MOST = 64
#: The reason for the unknown result of a call that an earlier process has made.
KILLED = "tminus was killed while it ran; how far it came is not known"
#: A function whose import takes longer is called without having been prepared.
_ARM_NS = 2 * SECOND
#: If a function is not entered within this, its module does not import, or its application dies or hangs: it is given up.
_ENTERED_NS = 60 * SECOND


@dataclass(slots=True, eq=False)
class _Together:
    """Calls that are sent to one runner together; it must be ready for them by `ready_by_ns` (monotonic clock)."""

    key: RunnerKey
    ready_by_ns: int
    flight: Flight = field(init=False)
    calls: dict[int, Call] = field(default_factory=dict)
    redactions: dict[int, Redaction] = field(default_factory=dict)
    is_apart: bool = False  #: in a process of its own
    doubted: set[int] = field(default_factory=set)  #: prepared when a process died, by their index
    told: set[int] = field(default_factory=set)  #: to stop, by their index

    def back(self, index: int) -> Call:
        """Remove a call that has ended, and return it."""
        self.flight.outstanding.pop(index, None)
        return self.calls.pop(index)


class Calls:
    """
    Belongs to one thread.

    Args:
        wake: Called from other threads when there is something for `came`.
        doubts: Report a call whose process dies while it is prepared, instead of preparing it again in the next one.
    """

    def __init__(self, station: Station, *, wake: Callable[[], None], doubts: bool = False) -> None:
        self._station = station
        self._wake = wake
        self._doubts = doubts
        self._running: set[_Together] = set()
        self._came: list[Came] = []
        self._progress: dict[int, tuple[float, str]] = {}
        self._events: queue.SimpleQueue[tuple[_Together, Shard, ShardEvent]] = queue.SimpleQueue()

    def __len__(self) -> int:
        return len(self.owners())

    def owners(self) -> set[int]:
        """Return the owners of all calls."""
        called = (call.owner for together in self._running for call in together.calls.values())
        return {*called, *(one.owner for one in self._came)}

    def running(self) -> Counter[RunnerKey]:
        """Return how many calls each runner has."""
        return sum((Counter({one.key: len(one.calls)}) for one in self._running), Counter())

    def begin(self, key: RunnerKey, calls: Sequence[Call], executor: Supervisor | None = None) -> None:
        """
        Call these, all in one runner.

        Args:
            executor: That runner; None: the one in use for this application.
        """
        while calls:
            calls = self._begin_some(key, calls, executor)

    def _begin_some(self, key: RunnerKey, calls: Sequence[Call], executor: Supervisor | None) -> Sequence[Call]:
        """Call as many as one command may hold; return those that are left."""
        together, renderer = _Together(key, self._ready_by_ns(), is_apart=executor is not None), self._station.renderer()

        def tell(_flight: Flight, shard: Shard, event: ShardEvent) -> None:
            self._events.put((together, shard, event))
            self._wake()

        try:
            runner = partial(self._station.executors.runner, key) if executor is None else lambda: executor
            together.flight = Flight(runner, clock=self._station.clock, tell=tell)
        except CannotRender as error:  # a reload has taken its application away
            for call in calls:
                self._cannot(call, error.message)
            return ()
        left, size = deque(calls), 0
        while left and size < MOST_BYTES:
            call = left.popleft()
            try:
                size += _make(call, len(together.calls), together, renderer)
            except CannotRender as error:
                self._came.append(Came(owner=call.owner, failed=error.message))
            except Exception as error:
                log.exception("a call could not be made", occurrence=str(call.due.id))
                self._came.append(Came(owner=call.owner, failed=f"it cannot be sent: {type(error).__name__}: {error}"))
        if together.calls:
            self._running.add(together)
            self._arm(together)
        return left

    def stop(self, owner: int) -> None:
        """Tell the call of this owner to stop; if it was not released, it is never made."""
        for together in self._running:
            together.told |= {index for index, call in together.calls.items() if call.owner == owner}
            if together.flight.is_released:
                for index in together.told & together.calls.keys():
                    together.flight.stop(index)
            else:
                self._leave_out_told(together)

    def progress(self) -> dict[int, tuple[float, str]]:
        """Return the progress that was reported since the last time, by owner."""
        progress, self._progress = self._progress, {}
        return progress

    def came(self) -> list[Came]:
        """Return the calls that have ended since the last time."""
        while not self._events.empty():
            together, shard, event = self._events.get()
            if together.flight.is_of(shard):
                try:
                    self._hear(together, event)
                except Exception:  # what is missing now is settled when the shard ends, or its time is over
                    log.exception("a report on calls broke, the others go on", executor=together.flight.supervisor.name)
        for together in self._running:
            if not together.flight.is_released and self._station.clock.monotonic_ns() > together.ready_by_ns:
                self._give_up(together, _not_entered("its application did not get ready"))
            together.flight.replace_if_it_hangs()
        self._running = {together for together in self._running if together.calls}
        came, self._came = self._came, []
        return came

    def _give_up(self, together: _Together, why: str) -> None:
        """Give up calls: none is made any more, and those that may have been made are lost."""
        is_released = together.flight.is_released
        together.flight.withdraw()
        for index in list(together.calls):
            self._lost(together, index, why) if is_released else self._cannot(together.back(index), why)

    def _ready_by_ns(self) -> int:
        return self._station.clock.monotonic_ns() + _ENTERED_NS

    def _leave_out_told(self, together: _Together) -> None:
        for index in together.told & together.calls.keys():
            self._cannot(together.back(index), "it was told to stop")

    def _arm(self, together: _Together) -> None:
        now_ns, works = self._station.clock.wall_ns(), together.flight.works
        works.update({index: replace(works[index], latest_ns=now_ns + _ENTERED_NS) for index in together.calls})
        times = Times(t_ns=now_ns, deadline_ns=now_ns + _ARM_NS, give_up_ns=now_ns + _ARM_NS + HANGS_NS)
        try:
            together.flight.arm(times, self._station.definitions.daemon)
        except CannotRender as error:  # a reload has taken its application away
            self._give_up(together, error.message)
        except Exception as error:
            log.exception("calls cannot be sent, the others go on", executor=together.flight.supervisor.name)
            self._give_up(together, f"sending it broke ({type(error).__name__})")

    def _hear(self, together: _Together, event: ShardEvent) -> None:
        match event:
            case Armed():
                longest_ns = max((call.due.job.timeouts.total_ns for call in together.calls.values()), default=0)
                together.flight.release(ends_in_ns=_ENTERED_NS + longest_ns)
            case Results(finished=finished):
                for one in finished:
                    if one.index in together.calls:
                        self._take_in(together, one)
            case Progress(index=index, part=part, text=text) if index in together.calls:
                self._progress[together.calls[index].owner] = part, together.redactions[index].text(text)
            case Lost():
                self._after_death(together, event)
                self._leave_out_told(together)
                if together.calls:
                    self._arm(together)
            case Unsendable(works=works):
                for index in works.keys() & together.calls.keys():
                    self._came.append(Came(owner=together.back(index).owner, failed=works[index]))
                if together.calls:
                    self._arm(together)
            case Broken(why=why):
                self._give_up(together, why)
            case Ended(released=False) if together.calls:  # not started, because the permit came too late
                together.ready_by_ns = self._ready_by_ns()
                self._arm(together)
            case Ended():
                for index in list(together.calls):
                    self._lost(together, index, "the executor has not said how it went")

    def _after_death(self, together: _Together, lost: Lost) -> None:
        """Settle what was entered when a process died, and what may have ended it. The others go to the next process."""
        is_alone = lost.busy <= 1
        for index, started_ns in dict(lost.entered or {}).items():
            if index in together.calls:
                self._lost(together, index, f"the executor process died while it ran ({lost.how})", started_ns, is_alone=is_alone)
        why = f"the executor process died while it was prepared ({lost.how})"
        for index in [index for index in lost.preparing if index in together.calls]:
            if self._doubts:
                self._came.append(Came(owner=together.back(index).owner, doubted=why, is_alone=is_alone))
            elif is_alone and index in together.doubted:  # the first time another call may have been the cause
                self._came.append(Came(owner=together.back(index).owner, failed=why))
        together.doubted.update(lost.preparing)

    def _take_in(self, together: _Together, finished: Finished) -> None:
        try:
            self._finished(together, finished)
        except Exception as error:
            log.exception("a result cannot be taken in, the others go on", index=finished.index)
            self._lost(together, finished.index, f"taking in its result broke ({type(error).__name__})", finished.started_ns)

    def _finished(self, together: _Together, finished: Finished) -> None:
        call, redaction = together.back(finished.index), together.redactions[finished.index]
        if finished.late and self._doubts:
            why = _not_entered("its module was not imported, or its contexts were not pushed,")
            self._came.append(Came(owner=call.owner, doubted=why, is_alone=together.is_apart))
        elif finished.late:
            self._cannot(call, _not_entered("its module was not imported"))
        else:
            executor = together.flight.supervisor.name
            self._came.append(Came(owner=call.owner, finished=finished, redaction=redaction, executor=executor))

    def _cannot(self, call: Call, why: str) -> None:
        self._came.append(Came(owner=call.owner, cannot=why))

    def _lost(self, together: _Together, index: int, why: str, started_ns: int = 0, *, is_alone: bool = False) -> None:
        executor, words = together.flight.supervisor.name, f"{why}; how far it came is not known"
        owner = together.back(index).owner
        self._came.append(Came(owner=owner, executor=executor, lost=words, started_ns=started_ns, is_alone=is_alone))


def _make(call: Call, index: int, together: _Together, renderer: Renderer) -> int:
    """Add the work of a call; return how many bytes it carries."""
    work, redaction = call.work(renderer, index), Redaction(call.secrets(renderer))
    size = size_of(work)
    together.flight.outstanding[index], together.flight.works[index] = call.due, work
    together.calls[index], together.redactions[index] = call, redaction
    return size


def _not_entered(why: str) -> str:
    return f"{why} within {_ENTERED_NS / SECOND:g} s"
