"""The daemon's side of shards and calls: their commands, and all that can happen to them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from tminus.executors.http.wire import Request
from tminus.executors.protocol import (
    Arm,
    Armed,
    AttemptResults,
    Call,
    Cancel,
    JobResponse,
    Progress,
    Release,
    Returned,
    ShardEnded,
    Stop,
    Withdraw,
)
from tminus.executors.python.wire import Work

#: The work of one occurrence.
AnyWork = Request | Work
#: A shard or a call: what an executor runs.
Order = Arm[AnyWork] | Call[AnyWork]
#: All that is written to an executor.
Command = Order | Release | Withdraw | Cancel | Stop | JobResponse


@dataclass(frozen=True, slots=True)
class ExecutorDied:
    """
    The executor died while it had the shard or the call, so there is no further report.

    Attributes:
        at_ns: When its end was noticed, wall clock.
        reason: For people.
        entered_ns: When works had been entered, by their index; None if that is unknown.
        loading: Works that were loading: their modules were being imported, or their contexts pushed.
        running: In how many works of the process user code was running.
    """

    at_ns: int
    reason: str
    entered_ns: Mapping[int, int] | None = None
    loading: Sequence[int] = ()
    running: int = 0


@dataclass(frozen=True, slots=True)
class ExecutorUnavailable:
    """The executor does not work, and did not get the shard or the call."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unsendable:
    """
    The shard or the call was not sent, because some of its works cannot be encoded. The others can be armed
    again without them.

    Attributes:
        reasons: Why they cannot be encoded, by the index of the work.
    """

    reasons: Mapping[int, str]


#: All that an executor reports on a shard or a call.
OrderReport = Armed | AttemptResults | ShardEnded | Returned | Progress
#: All that may happen to a shard or a call.
Event = OrderReport | ExecutorDied | ExecutorUnavailable | Unsendable


class OrderHandle:
    """
    A shard or a call on its way.

    Args:
        on_event: Called with each event of the order, in order; most of them on the supervisor's thread.

    Attributes:
        answer_by_ns: If the executor has reported nothing on the order by then, it hangs. Monotonic clock.
    """

    def __init__(
        self,
        number: int,
        order: Order,
        on_event: Callable[["OrderHandle", Event], None],
        *,
        answer_by_ns: int = 0,
    ) -> None:
        self.number = number
        self.order = order
        self.answer_by_ns = answer_by_ns
        self.is_sent = False
        self.is_answered = False
        self._on_event = on_event

    def report(self, event: Event) -> None:
        """Report an event of the order."""
        self._on_event(self, event)


def works_of(order: Order) -> Sequence[AnyWork]:
    """Return the works of an order."""
    return order.works if isinstance(order, Arm) else (order.work,)


def find_unsendable(order: Order, encode: Callable[[Command], bytes], reason: str) -> Unsendable:
    """
    Return the works of an order that cannot be encoded; if there is no such work, all of them.

    Args:
        order: An order that cannot be encoded.
        encode: Encodes a command for its executor.
        reason: Why the order cannot be encoded.
    """
    found = {}
    if isinstance(order, Arm):
        for work in order.works:
            try:
                encode(replace(order, works=[work]))
            except Exception as error:  # noqa: BLE001  whatever a job's values do to msgpack or JSON
                found[work.index] = f"it cannot be sent to its executor: {error}"
    every = (work.index for work in works_of(order))
    return Unsendable(found or dict.fromkeys(every, f"it cannot be sent to its executor: {reason}"))
