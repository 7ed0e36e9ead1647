"""The beat: pings the daemon's own checks while it is well, so that their silence tells of its death."""

import os
from collections.abc import Callable

import structlog

from tminus.daemon.notifications.deliveries import Deliveries
from tminus.daemon.runtime import Runtime
from tminus.daemon.service_thread import ServiceThread
from tminus.delivery.send import send
from tminus.instants import SECOND
from tminus.model.notification import Channel, Notification, NotificationKind
from tminus.secrets.references import References

log = structlog.get_logger()

_LOOK_S = 0.5
#: Time between two pings, and after a ping that has failed.
_EVERY_NS = 60 * SECOND
_AGAIN_NS = 10 * SECOND


class Beat:
    """
    The thread that pings the daemon's own checks. Thread-safe.

    Args:
        runtime: Its definitions name the checks, in `daemon.notify`.
        is_well: Returns whether the daemon is well.
    """

    def __init__(self, runtime: Runtime, *, is_well: Callable[[], bool]) -> None:
        self._runtime = runtime
        self._clock = runtime.clock
        self._is_well = is_well
        self._deliveries = Deliveries(self._send, runtime.clock)
        self._next_ns: dict[str, int] = {}
        self._failures: dict[str, str] = {}
        self._thread = ServiceThread("beat", self._look, pause_s=_LOOK_S)

    @property
    def problems(self) -> list[str]:
        """The checks that cannot be pinged, for `status`."""
        failures = sorted(self._failures.copy().items())
        return [f"the daemon's check {name} cannot be pinged: {error}" for name, error in failures]

    def start(self) -> None:
        """Start pinging."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Ping no more; return False if the thread still runs."""
        return self._thread.stop(timeout_s)

    def _look(self) -> None:
        definitions, now_ns = self._runtime.definitions, self._clock.monotonic_ns()
        for result in self._deliveries.wait(0):
            self._take(result.notification.channel, result.error, now_ns)
        names = definitions.daemon.notify
        self._failures = {name: error for name, error in self._failures.items() if name in names}
        for name in names:
            is_due = now_ns >= self._next_ns.get(name, now_ns) and name not in self._deliveries.busy
            if is_due and self._is_well():
                self._next_ns[name] = now_ns + _EVERY_NS
                self._deliveries.start(definitions.channels[name], _ping(name, self._clock.wall_ns()))

    def _take(self, name: str, error: str | None, now_ns: int) -> None:
        if error is None:
            self._failures.pop(name, None)
            return
        if name not in self._failures:
            log.warning("a check of the daemon cannot be pinged", channel=name, error=error)
        self._failures[name] = error
        self._next_ns[name] = now_ns + _AGAIN_NS

    def _send(self, channel: Channel, one: Notification) -> None:
        references = References(self._runtime.definitions.folder, os.environ)
        send(channel, one, references, now_ns=self._clock.wall_ns())


def _ping(name: str, now_ns: int) -> Notification:
    return Notification(
        channel=name,
        kind=NotificationKind.PING_SUCCESS,
        about="",
        created_ns=now_ns,
        title="the tminus daemon is well",
    )
