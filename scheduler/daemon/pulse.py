"""The pulse: heartbeat and problems to the ledger, a sign of life to systemd while all is well, removal of old history."""

import threading
from collections.abc import Callable

import structlog

from scheduler.daemon import systemd
from scheduler.daemon.service import Service
from scheduler.errors import LedgerError, LedgerLost
from scheduler.instants import SECOND
from scheduler.ledger import instances, upkeep
from scheduler.ledger.lock import Lock

log = structlog.get_logger()

_LOOK_S = 0.5
#: So many looks in a row at a planner that does not plan: it hangs, or has died, and does not only begin anew.
_MOST_LOOKS = 20
_PLANS_NOTHING = "nothing is started any more: the planner hangs; start the daemon again"
_PRUNE_NS = 600 * SECOND
#: Old history is deleted this long between two looks, in pieces, with a rest after each.
_PRUNING_NS = SECOND // 2
_REST_S = 0.01


class Pulse:
    """
    Two threads: a ledger that hangs delays neither the sign of life nor the look at the executors.

    Args:
        service: The service whose state is reported.
        lock: The lock of its ledger; each heartbeat checks it.
        lost: Called once if another process has taken the lock.
    """

    def __init__(self, service: Service, lock: Lock, *, lost: Callable[[], None]) -> None:
        self._service = service
        self._lock = lock
        self._lost = lost
        self._clock = service.station.clock
        self._announces = threading.Event()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._go_on, name="pulse", daemon=True),
            threading.Thread(target=self._look, name="watchdog", daemon=True),
        ]

    def start(self) -> None:
        """Start beating."""
        for thread in self._threads:
            thread.start()

    def announce_stop(self) -> None:
        """Tell `status` that the daemon is stopping."""
        self._announces.set()

    def stop(self, timeout_s: float) -> None:
        """Beat no more."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout_s)

    def _look(self) -> None:
        """Replace executors that hang; tell systemd that all is well."""
        every_ns, next_ns = systemd.watchdog_every_ns(), self._clock.monotonic_ns()
        while not self._stopping.wait(_LOOK_S):
            try:
                is_well = self._service.is_well()  # also without systemd: this replaces an executor that hangs
                if every_ns is not None and is_well and (now := self._clock.monotonic_ns()) >= next_ns:
                    systemd.notify("WATCHDOG=1", f"STATUS={self._service.status()}")
                    next_ns = now + every_ns
            except Exception:
                log.exception("the watchdog broke, it goes on")

    def _go_on(self) -> None:
        now = self._clock.monotonic_ns()
        next_beat, next_prune = now, now + _PRUNE_NS
        losses, is_lost, is_announced = 0, False, False
        reported: list[str] = []
        unplanned = 0
        while not self._stopping.wait(_LOOK_S):
            now = self._clock.monotonic_ns()
            station = self._service.station
            try:
                if now >= next_beat:
                    self._service.beat()
                    next_beat = now + instances.BEAT_NS
                unplanned = 0 if self._service.plans else unplanned + 1
                if unplanned == _MOST_LOOKS:
                    log.error(_PLANS_NOTHING)
                if (problems := self._service.problems + [_PLANS_NOTHING] * (unplanned >= _MOST_LOOKS)) != reported:
                    instances.report(station.ledger, station.instance, problems=problems)
                    reported = problems
                if self._announces.is_set() and not is_announced:
                    instances.stopped(station.ledger, station.instance, self._clock.wall_ns())
                    is_announced = True
                if now >= next_prune:
                    next_prune = now + (0 if self._prune() else _PRUNE_NS)
            except LedgerLost as error:
                if not is_lost:
                    log.error("nothing more is started", error=error.message)
                    self._lost()
                is_lost = True
            except LedgerError as error:
                log.error("the ledger does not work", error=error.message)
            except Exception:
                log.exception("the pulse broke, it goes on")
            if self._lock.losses > losses:
                losses = self._lock.losses
                log.warning("the lock of the ledger was lost, and taken again")

    def _prune(self) -> bool:
        """Delete old history for a moment; return whether there may be more."""
        station = self._service.station
        before_ns = self._clock.wall_ns() - station.definitions.daemon.history.keep_ns
        until_ns = self._clock.monotonic_ns() + _PRUNING_NS
        while self._clock.monotonic_ns() < until_ns:
            # Web workers and countdowns wait for the same writer: small pieces, none of them around a T.
            station.gate.wait_open(own=None, deadline_ns=self._clock.wall_ns() + SECOND)
            if not upkeep.prune(station.ledger, before_ns=before_ns):
                return False
            if self._stopping.wait(_REST_S):
                return False
        return True
