"""The notifier: decides what channels are told, and has it delivered, on a thread of its own."""

import os
import socket
from collections.abc import Mapping, Sequence

import structlog

from tminus.daemon.notifications.decisions import decide, running_checks
from tminus.daemon.notifications.deliveries import Deliveries, DeliveryResult
from tminus.daemon.runtime import Runtime
from tminus.daemon.service_thread import ServiceThread
from tminus.delivery.send import send
from tminus.instants import SECOND
from tminus.ledger import notices, notifications
from tminus.model.definitions import Definitions
from tminus.model.notification import Channel, Notification, NotificationKind
from tminus.model.occurrence import OccurrenceId
from tminus.policies.notify import is_given_up, next_try_ns
from tminus.secrets.references import References

log = structlog.get_logger()

#: Pause after a round that has failed, because the ledger does not work.
_AGAIN_S = 0.5
#: Pause between two rounds, unless a delivery ends before.
_WAIT_S = 0.5
#: A check is told of the start of a run that still runs this long after T; of a shorter run only of its end.
_STARTED_NS = SECOND
#: Batches that are remembered as told in part.
_MOST_TOLD_IN_PART = 1_000


class Notifier:
    """
    The thread that decides and delivers notifications. Thread-safe.

    Args:
        runtime: Its ledger has the notices, its definitions the channels.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._clock = runtime.clock
        self._host = socket.gethostname()
        self._deliveries = Deliveries(self._send, runtime.clock)
        self._unrecorded: list[DeliveryResult] = []
        self._adopted: Definitions | None = None
        self._checks: Mapping[str, Sequence[str]] = {}
        self._started = set[OccurrenceId]()
        self._told_in_part: set[int] = set()
        self._thread = ServiceThread("notifier", self._work, pause_s=_AGAIN_S)

    def start(self) -> None:
        """Start deciding and delivering."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """End; what is not delivered is delivered after the next start. Return False if it still runs."""
        return self._thread.stop(timeout_s)

    def _work(self) -> None:
        while not self._thread.stopping.is_set():
            self._look()

    def _look(self) -> None:
        definitions = self._runtime.definitions
        if definitions is not self._adopted:
            self._adopt(definitions)
        if not definitions.channels:
            self._thread.stopping.wait(_WAIT_S)
            return
        self._runtime.gate.wait_open(own=None, deadline_ns=self._clock.wall_ns() + SECOND)
        while self._unrecorded:  # before the next deliveries: otherwise they would be made again
            self._record(self._unrecorded[0])
            del self._unrecorded[0]
        self._ping_starts()
        self._decide(definitions)
        self._deliver(definitions)
        if self._deliveries.are_open:
            self._unrecorded += self._deliveries.wait(_WAIT_S)
        else:
            self._thread.stopping.wait(_WAIT_S)

    def _adopt(self, definitions: Definitions) -> None:
        if dropped := notifications.drop_unknown_channels(
            self._runtime.ledger, known=list(definitions.channels)
        ):
            log.warning("notifications are dropped: their channel is gone", notifications=dropped)
        self._checks = running_checks(definitions)
        self._adopted = definitions

    def _ping_starts(self) -> None:
        now_ns, running = self._clock.wall_ns(), self._runtime.in_flight.find(self._checks)
        started = {due.id for due in running if due.planned_at_ns + _STARTED_NS <= now_ns}
        if new := started - self._started:
            pings = [
                Notification(
                    channel=channel,
                    kind=NotificationKind.PING_START,
                    about=str(identity),
                    job=identity.job,
                    created_ns=now_ns,
                    title=f"{identity} has started",
                )
                for identity in sorted(new)
                for channel in self._checks[identity.job]
            ]
            notices.decide(self._runtime.ledger, decided=(), messages=pings, changed={})
        self._started = started

    def _decide(self, definitions: Definitions) -> None:
        found = notices.read(self._runtime.ledger)
        if not (found.noted or found.alerts or found.late_finishes):
            return
        now_ns = self._clock.wall_ns()
        made = decide(found, definitions, now_ns=now_ns, host=self._host, told_in_part=self._told_in_part)
        if made.decided or made.late_finishes_decided or made.messages or made.changed:
            notices.decide(
                self._runtime.ledger,
                decided=made.decided,
                messages=made.messages,
                changed=made.changed,
                late_finishes_decided=made.late_finishes_decided,
            )
        ended = {planned_at_ns for planned_at_ns, size in found.batches.items() if not size.unfinished}
        self._told_in_part = (self._told_in_part | made.told_in_part) - ended
        if len(self._told_in_part) > _MOST_TOLD_IN_PART:
            self._told_in_part = made.told_in_part

    def _deliver(self, definitions: Definitions) -> None:
        now_ns, busy = self._clock.wall_ns(), self._deliveries.busy
        for one in notifications.find_due(self._runtime.ledger, now_ns=now_ns, without=busy):
            if one.channel in definitions.channels and one.channel not in busy:
                self._deliveries.start(definitions.channels[one.channel], one)
                busy.append(one.channel)

    def _record(self, result: DeliveryResult) -> None:
        one, now_ns = result.notification, self._clock.wall_ns()
        if result.error is None:
            notifications.record_sent(self._runtime.ledger, one, now_ns=now_ns)
            return
        is_over = is_given_up(created_ns=one.created_ns, now_ns=now_ns)
        again_ns = None if is_over else next_try_ns(tries=one.tries + 1, now_ns=now_ns)
        log.warning(
            "a notification was not delivered",
            channel=one.channel,
            title=one.title,
            error=result.error,
            is_given_up=is_over,
        )
        notifications.record_failure(
            self._runtime.ledger, one, error=result.error, next_try_ns=again_ns, now_ns=now_ns
        )

    def _send(self, channel: Channel, one: Notification) -> None:
        references = References(self._runtime.definitions.folder, os.environ)
        send(channel, one, references, now_ns=self._clock.wall_ns())
