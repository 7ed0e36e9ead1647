"""Deliveries that are under way: one per channel, each on a thread of its own."""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass

from tminus.aside import aside
from tminus.clock import Clock
from tminus.delivery.send import NotDelivered
from tminus.instants import SECOND
from tminus.model.notification import Channel, Notification

#: A delivery that takes longer hangs: it may wait for the file system of a secret.
_LONGEST_NS = 60 * SECOND

#: Sends a notification to a channel; raises NotDelivered.
Send = Callable[[Channel, Notification], None]


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The end of a delivery. `error` is None if the notification was delivered."""

    notification: Notification
    error: str | None


@dataclass(slots=True)
class _Delivery:
    notification: Notification
    began_ns: int
    future: "Future[None]"
    is_reported: bool = False


class Deliveries:
    """
    Deliveries that are under way. Belongs to one thread.

    Args:
        send: Called on a thread per channel.
        clock: Only the monotonic one is used.
    """

    def __init__(self, send: Send, clock: Clock) -> None:
        self._send = send
        self._clock = clock
        self._under_way: dict[str, _Delivery] = {}

    @property
    def busy(self) -> list[str]:
        """The channels that deliver, by name. One that hangs stays busy until its thread ends."""
        return list(self._under_way)

    @property
    def are_open(self) -> bool:
        """Whether there is a delivery whose end is waited for."""
        return any(not one.is_reported for one in self._under_way.values())

    def start(self, channel: Channel, notification: Notification) -> None:
        """
        Begin a delivery. The channel must not be busy.

        Raises:
            RuntimeError: there is no thread for it now.
        """
        future = aside(lambda: self._send(channel, notification), name=f"notify {channel.name}")
        began_ns = self._clock.monotonic_ns()
        self._under_way[channel.name] = _Delivery(notification, began_ns, future)

    def wait(self, timeout_s: float) -> list[DeliveryResult]:
        """Wait until a delivery ends, at most this long; return the results of all that ended or hang."""
        open_ones = [one.future for one in self._under_way.values() if not one.is_reported]
        wait(open_ones, timeout_s, return_when=FIRST_COMPLETED)
        return [result for name in self.busy if (result := self._result(name))]

    def _result(self, name: str) -> DeliveryResult | None:
        one = self._under_way[name]
        was_reported = one.is_reported
        if one.future.done():
            del self._under_way[name]
            return None if was_reported else DeliveryResult(one.notification, _error_of(one.future))
        if was_reported or self._clock.monotonic_ns() - one.began_ns < _LONGEST_NS:
            return None
        one.is_reported = True
        return DeliveryResult(one.notification, f"no end within {_LONGEST_NS // SECOND} s")


def _error_of(future: "Future[None]") -> str | None:
    match future.exception():
        case None:
            return None
        case NotDelivered() as error:
            return error.message
        case other:
            return f"the delivery broke ({type(other).__name__})"  # its text may hold a secret
