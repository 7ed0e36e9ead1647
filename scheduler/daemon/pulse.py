"""The pulse: a beat in the ledger, a sign of life for systemd while all is well, and old history let go."""

import threading

import structlog

from scheduler.daemon import systemd
from scheduler.daemon.service import Service
from scheduler.errors import LedgerError
from scheduler.instants import SECOND
from scheduler.ledger import instances, upkeep

log = structlog.get_logger()

_LOOK_S = 0.5
_PRUNE_NS = 600 * SECOND


class Pulse:
    """One thread."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._clock = service.station.clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="pulse", daemon=True)

    def start(self) -> None:
        """Start beating."""
        self._thread.start()

    def stop(self) -> None:
        """Beat no more."""
        self._stopping.set()
        self._thread.join()

    def _go_on(self) -> None:
        watchdog_ns = systemd.watchdog_every_ns()
        now = self._clock.monotonic_ns()
        next_beat, next_watchdog, next_prune = now, now, now + _PRUNE_NS
        while not self._stopping.wait(_LOOK_S):
            now = self._clock.monotonic_ns()
            is_well = self._service.is_well()  # asked with and without systemd: who asks replaces an executor that hangs
            if watchdog_ns is not None and now >= next_watchdog and is_well:
                systemd.notify("WATCHDOG=1", f"STATUS={self._service.status()}")
                next_watchdog = now + watchdog_ns
            try:
                if now >= next_beat:
                    station = self._service.station
                    instances.beat(station.ledger, station.instance, self._clock.wall_ns())
                    next_beat = now + instances.BEAT_NS
                if now >= next_prune:
                    next_prune = now + (0 if self._prune() else _PRUNE_NS)
            except LedgerError as error:
                log.error("the ledger does not work", error=error.message)

    def _prune(self) -> bool:
        station = self._service.station
        before_ns = self._clock.wall_ns() - station.definitions.daemon.history.keep_ns
        return upkeep.prune(station.ledger, before_ns=before_ns)
