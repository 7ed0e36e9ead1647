"""The daemon: the order of start, ready, reload and stop; signals."""

import queue
import signal
from enum import Enum, auto

import structlog

from scheduler.clock import Clock
from scheduler.daemon import systemd
from scheduler.daemon.file_watch import FileWatch
from scheduler.daemon.pulse import Pulse
from scheduler.daemon.service import Service
from scheduler.errors import LedgerError, TminusError
from scheduler.instants import SECOND
from scheduler.jobsfile.load import load
from scheduler.jobsfile.problems import Problem
from scheduler.ledger import instances
from scheduler.ledger.engine import Ledger
from scheduler.ledger.lock import Lock, lock_of
from scheduler.model.definitions import Definitions, Reload

log = structlog.get_logger()

_WAIT_S = 1.0
_STOPS = (signal.SIGTERM, signal.SIGINT)


class Locked(TminusError):
    """Another daemon runs jobs on this ledger."""


class _Wake(Enum):
    RELOAD = auto()  #: asked for
    CHANGED = auto()  #: a file has changed
    STOP = auto()


class Daemon:
    """
    Runs until SIGTERM or SIGINT; SIGHUP reads the jobs file again. Belongs to the main thread, and sets its signal handlers.

    Args:
        path: The jobs file.
        definitions: What it says.
        ledger: Open.
        since_ns: When this process started, wall clock.
    """

    def __init__(self, path: str, definitions: Definitions, ledger: Ledger, *, clock: Clock, since_ns: int) -> None:
        self._path = path
        self._definitions = definitions
        self._ledger = ledger
        self._clock = clock
        self._since_ns = since_ns
        self._wakes: queue.SimpleQueue[_Wake] = queue.SimpleQueue()
        self._is_broken = False
        self._files = FileWatch(lambda: self._wakes.put(_Wake.CHANGED))

    def run(self) -> int:
        """
        Returns:
            The exit status.

        Raises:
            Locked: another daemon holds the ledger.
        """
        self._listen()
        lock = lock_of(self._ledger)
        if not self._take(lock):
            return 0
        try:
            return self._serve()
        finally:
            lock.release()

    def _listen(self) -> None:
        def stop(_number: int, _frame: object) -> None:
            # A second one, of either kind, means: now. The ledger bears it, as it bears kill -9.
            for number in _STOPS:
                signal.signal(number, signal.SIG_DFL)
            self._wakes.put(_Wake.STOP)

        for number in _STOPS:
            signal.signal(number, stop)
        signal.signal(signal.SIGHUP, lambda _number, _frame: self._wakes.put(_Wake.RELOAD))

    def _take(self, lock: Lock) -> bool:
        """Take the ledger's lock; wait for a `run-now` that holds it. False where we are asked to stop meanwhile."""
        said, reloads = False, False
        while not lock.acquire():
            holder = instances.latest(self._ledger)
            if holder is None or holder.kind != "run-now":
                who = str(holder) if holder else "another process"
                raise Locked(f"the ledger {self._ledger.url!r} is locked by {who}", hint="one daemon runs the jobs of a ledger")
            if not said:
                log.info("waiting for the run-now that holds the ledger", pid=holder.pid)
                said = True
            wake = self._next_wake(_WAIT_S)
            if wake is _Wake.STOP:
                return False
            reloads = reloads or wake is _Wake.RELOAD
        if reloads:
            self._wakes.put(_Wake.RELOAD)
        return True

    def _serve(self) -> int:
        ledger, clock, version = self._ledger, self._clock, self._definitions.version
        instance = instances.register(ledger, kind="daemon", config_version=version, now_ns=clock.wall_ns())
        service = Service(ledger, self._definitions, clock=clock, instance=instance, since_ns=self._since_ns)
        service.start()
        pulse = Pulse(service)
        pulse.start()
        self._watch_files()
        systemd.notify("READY=1", f"STATUS={service.status()}")
        log.info("ready", jobs=len(self._definitions.jobs), config_version=version, ledger=repr(ledger.url))
        while (wake := self._next_wake(_WAIT_S)) is not _Wake.STOP:
            if wake is not None:
                self._reload(service, is_asked_for=wake is _Wake.RELOAD)
        systemd.notify("STOPPING=1")
        grace = f"{service.station.definitions.daemon.shutdown_grace_ns / SECOND:g} s"
        log.info("stopping", running=len(service.station.running), waits_up_to=grace, at_once="signal again")
        self._files.stop()
        well = service.stop()
        pulse.stop()
        instances.stopped(ledger, instance, clock.wall_ns())
        log.info("stopped") if well else log.error("stopped, and not all outcomes could be written")
        return 0 if well else 1

    def _reload(self, service: Service, *, is_asked_for: bool) -> None:
        """Take the jobs file as it is now; a bad one keeps the old one running, and says why."""
        systemd.reloading(self._clock.monotonic_ns())
        loaded = load(self._path)
        before = service.station.definitions
        if loaded.definitions is None:
            log.error("the jobs file is not valid, the old one stays in force", errors=len(loaded.errors))
            for problem in loaded.errors:
                log.error("jobs file", at=_place(problem), problem=problem.message, hint=problem.hint)
            self._is_broken = True
            self._remember(service, error=f"{_place(loaded.errors[0])}: {loaded.errors[0].message}")
        elif is_asked_for or _differ(loaded.definitions, before):
            try:
                service.reload(loaded.definitions)
            except LedgerError as error:
                log.error("the ledger does not work, the old jobs file stays in force", error=error.message)
            else:
                log.info("reloaded", jobs=len(loaded.definitions.jobs), config_version=loaded.definitions.version)
                self._definitions, self._is_broken = loaded.definitions, False
                self._watch_files()
        elif self._is_broken:
            log.info("the jobs file is valid again", config_version=before.version)
            self._is_broken = False
            self._remember(service, error=None)
        systemd.notify("READY=1", f"STATUS={service.status()}")

    def _remember(self, service: Service, *, error: str | None) -> None:
        try:
            instances.configured(self._ledger, service.station.instance, version=None, error=error)
        except LedgerError as failure:
            log.error("the ledger does not work", error=failure.message)

    def _watch_files(self) -> None:
        if self._definitions.daemon.reload is Reload.WATCH:
            self._files.start(self._definitions.paths)
        else:
            self._files.stop()

    def _next_wake(self, timeout_s: float) -> _Wake | None:
        # Never without a timeout: a signal that comes just before the wait, or to another thread, does not end the wait.
        try:
            return self._wakes.get(timeout=timeout_s)
        except queue.Empty:
            return None


def _differ(one: Definitions, other: Definitions) -> bool:
    return (one.version, one.daemon, one.apps) != (other.version, other.daemon, other.apps)


def _place(problem: Problem) -> str:
    return f"{problem.path}:{problem.line}:{problem.column}"
