"""The two signs of life: the heartbeat, written to the ledger, and the watchdog's, sent to systemd."""

import threading
from collections.abc import Callable, Iterator

import structlog

from tminus.daemon import systemd
from tminus.daemon.service import Service
from tminus.daemon.service_thread import ServiceThread
from tminus.errors import LedgerLost
from tminus.instants import SECOND
from tminus.ledger import instances, retention
from tminus.ledger.lock import Lock

log = structlog.get_logger()

_LOOK_S = 0.5
#: If the planner does not plan in this many looks in a row, it hangs or has died. Until then, it may only be
#: starting again.
_MOST_LOOKS = 20
_PLANS_NOTHING = "nothing is started any more: the planner hangs; start the daemon again"
_FIRST_PRUNE_NS = 60 * SECOND
_PRUNE_NS = 600 * SECOND
#: Old history is deleted for this long between two looks, in pieces, with a rest after each.
_PRUNING_NS = SECOND // 2
_REST_S = 0.01
#: The rest after a piece, as a multiple of the time that the piece took: on a slow disk, other writers get
#: most of the time.
_REST_SHARE = 4
_LONGEST_REST_S = 2.0
#: If a batch is always about to commit, a piece is deleted this often nevertheless.
_PIECE_NS = 10 * SECOND


class Heartbeat(ServiceThread):
    """
    Writes the heartbeat and the service's problems to the ledger, and deletes old history. Thread-safe.

    Args:
        service: The service whose state is written.
        lock: The lock of its ledger; each heartbeat checks it.
        on_lost: Called once if another process has taken the lock.
    """

    def __init__(self, service: Service, lock: Lock, *, on_lost: Callable[[], None]) -> None:
        super().__init__("heartbeat", self._look, pause_s=_LOOK_S)
        self._service = service
        self._ledger_lock = lock
        self._on_lost = on_lost
        self._clock = service.runtime.clock
        self._stop_announced = threading.Event()
        self._is_stop_written = False
        self._next_heartbeat_ns = self._clock.monotonic_ns()
        self._next_prune_ns = self._next_heartbeat_ns + _FIRST_PRUNE_NS
        self._pruning: Iterator[int] | None = None
        self._next_piece_ns = 0  #: when the next piece is deleted even if a batch is about to commit
        self._looks_without_plan = 0
        self._problems: list[str] = []  #: those in the ledger
        self._losses = 0  #: losses of the lock that were logged
        self._is_lost = False

    def announce_stop(self) -> None:
        """Show in `status` that the daemon is stopping."""
        self._stop_announced.set()

    def _look(self) -> None:
        if self._ledger_lock.losses > self._losses:
            self._losses = self._ledger_lock.losses
            log.warning("the lock of the ledger was lost, and taken again")
        try:
            self._write()
        except LedgerLost as error:
            if not self._is_lost:
                log.error("nothing more is started", error=error.message)
                self._on_lost()
            self._is_lost = True

    def _write(self) -> None:
        """Write what is due or has changed since the last look."""
        now_ns, runtime = self._clock.monotonic_ns(), self._service.runtime
        if now_ns >= self._next_heartbeat_ns:
            self._service.record_heartbeat()
            self._next_heartbeat_ns = now_ns + instances.HEARTBEAT_NS
        if (problems := self._find_problems()) != self._problems:
            instances.set_problems(runtime.ledger, runtime.instance, problems=problems)
            self._problems = problems
        if self._stop_announced.is_set() and not self._is_stop_written:
            instances.record_stop(runtime.ledger, runtime.instance, self._clock.wall_ns())
            self._is_stop_written = True
        if self._pruning is None and now_ns >= self._next_prune_ns:
            self._next_prune_ns, self._next_piece_ns = now_ns + _PRUNE_NS, now_ns + _PIECE_NS
            history = runtime.definitions.daemon.history
            before_ns = self._clock.wall_ns() - history.keep_ns
            self._pruning = retention.prune(runtime.ledger, before_ns=before_ns, keep_last=history.keep_last)
        self._prune()

    def _find_problems(self) -> list[str]:
        self._looks_without_plan = 0 if self._service.is_planning else self._looks_without_plan + 1
        if self._looks_without_plan == _MOST_LOOKS:
            log.error(_PLANS_NOTHING)
        return self._service.find_problems() + [_PLANS_NOTHING] * (self._looks_without_plan >= _MOST_LOOKS)

    def _prune(self) -> None:
        """Go on with the deletion of old history for a moment."""
        runtime = self._service.runtime
        until_ns = self._clock.monotonic_ns() + _PRUNING_NS
        while self._pruning is not None and self._clock.monotonic_ns() < until_ns:
            # Small pieces, because web workers and countdowns cannot write during one. Each piece waits for
            # the gate, at most a second, and for batches that are about to commit, at most _PIECE_NS.
            runtime.gate.wait_open(own=None, deadline_ns=self._clock.wall_ns() + SECOND)
            began_ns = self._clock.monotonic_ns()
            if began_ns < self._next_piece_ns and self._service.commits_soon:
                if self.stopping.wait(_REST_S):
                    return
                continue
            self._next_piece_ns = began_ns + _PIECE_NS
            if next(self._pruning, None) is None:
                self._pruning = None
                return
            took_s = (self._clock.monotonic_ns() - began_ns) / SECOND
            if self.stopping.wait(min(max(_REST_S, _REST_SHARE * took_s), _LONGEST_REST_S)):
                return


class Watchdog(ServiceThread):
    """
    Replaces executors that hang, and sends systemd a sign of life while all is well. It has its own thread,
    because a ledger that hangs must delay neither.
    """

    def __init__(self, service: Service) -> None:
        super().__init__("watchdog", self._look, pause_s=_LOOK_S)
        self._service = service
        self._clock = service.runtime.clock
        self._every_ns = systemd.watchdog_every_ns()
        self._next_ns = self._clock.monotonic_ns()

    def _look(self) -> None:
        is_well = self._service.check_health()  # replaces executors that hang, also without systemd
        now_ns = self._clock.monotonic_ns()
        if self._every_ns is not None and is_well and now_ns >= self._next_ns:
            systemd.notify("WATCHDOG=1", f"STATUS={self._service.status()}")
            self._next_ns = now_ns + self._every_ns
