"""The daemon: the order of start, ready and stop."""

import contextlib
import queue
import sys
import threading
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import TypeVar

import structlog

from scheduler.aside import aside, is_done
from scheduler.clock import Clock
from scheduler.daemon import systemd
from scheduler.daemon.file_watch import FileWatch
from scheduler.daemon.foreground import Foreground, Stopping
from scheduler.daemon.pulse import Pulse
from scheduler.daemon.reloads import Reloads
from scheduler.daemon.service import Service
from scheduler.errors import LedgerAway, TminusError
from scheduler.instants import SECOND
from scheduler.jobsfile.load import JobsFile
from scheduler.ledger import instances
from scheduler.ledger.engine import Ledger, bring_up_to_date
from scheduler.ledger.instances import Instance
from scheduler.ledger.lock import Lock, lock_of
from scheduler.model.definitions import Definitions, Reload
from scheduler.operations.published_ledger import Publication

log = structlog.get_logger()

_Found = TypeVar("_Found")

_WAIT_S = 1.0
#: Between two tries for the ledger's lock.
_LOCK_S = 0.2
#: A wait for the database is logged this often.
_SAY_NS = 60 * SECOND
#: Time limit for each step that follows the last outcomes.
_LAST_S = 0.5
#: A thread that writes to the ledger releases the GIL with each statement; a busy thread gives it back after this long.
#: Web workers wait for the end of the transaction.
_SWITCH_S = 0.0005


class Locked(TminusError):
    """Another daemon runs jobs on this ledger."""


class _Wake(Enum):
    RELOAD = auto()  #: a reload was requested
    CHANGED = auto()  #: a file has changed
    HEARD = auto()  #: a runner has reported which jobs its application's code defines
    LOST = auto()  #: another process runs jobs on the ledger now
    STOP = auto()


class Daemon:
    """
    Runs until SIGTERM or SIGINT; SIGHUP reloads the jobs file. All methods except `run` belong to a thread that `run` starts.

    Args:
        file: The jobs file.
        definitions: Those of the file, with the known jobs of its applications' code.
        open_ledger: Opens the ledger.
        since_ns: When this process started, wall clock.
    """

    def __init__(
        self, file: JobsFile, definitions: Definitions, open_ledger: Callable[[], Ledger], *, clock: Clock, since_ns: int
    ) -> None:
        self._file = file
        self._definitions = definitions
        self._open_ledger = open_ledger
        self._clock = clock
        self._since_ns = since_ns
        self._wakes: queue.SimpleQueue[_Wake] = queue.SimpleQueue()
        self._stopping = False
        self._is_starting = True
        self._service: Service | None = None
        self._files = FileWatch(lambda: self._wakes.put(_Wake.CHANGED))

    def run(self) -> int:
        """
        Returns:
            The exit status.

        Raises:
            Locked: another daemon holds the ledger.
        """
        return Foreground(
            self._clock,
            stop=self._ask_to_stop,
            reload=lambda: self._wakes.put(_Wake.RELOAD),
            has_begun=lambda: not self._is_starting,
            grace_ns=lambda: self._in_force.daemon.shutdown_grace_ns,
            kill=lambda: self._service.station.executors.kill() if self._service else None,
        ).run(self._run)

    def _run(self) -> int:
        sys.setswitchinterval(_SWITCH_S)
        self._ledger = self._patiently(self._open_ledger)
        lock = lock_of(self._ledger, goes_first=True)
        try:
            self._patiently(partial(self._take, lock))
            bring_up_to_date(self._ledger)
            self._is_starting = False
            if self._stopping:
                return 0
            self._ledger.guard = lock.check
            with contextlib.closing(Publication(self._file.path, self._ledger.url)) as publication:
                if not publication.is_published:
                    log.warning("commands are not told which ledger this daemon uses: too many daemons use this jobs file")
                return self._serve(lock)
        finally:
            lock.release()

    def _ask_to_stop(self) -> None:
        self._stopping = True
        self._wakes.put(_Wake.STOP)

    @property
    def _in_force(self) -> Definitions:
        return self._service.station.definitions if self._service else self._definitions

    def _patiently(self, action: Callable[[], _Found]) -> _Found:
        """Return the result of the action; wait for the ledger's database, which may start after this daemon."""
        said_ns = None
        while True:
            try:
                return action()
            except LedgerAway as error:
                now_ns = self._clock.monotonic_ns()
                if said_ns is None or now_ns - said_ns >= _SAY_NS:
                    log.warning("waiting for the database of the ledger", error=error.message)
                    said_ns = now_ns
                self._wait("waiting for the database of the ledger", _WAIT_S)

    def _wait(self, why: str, timeout_s: float) -> None:
        """Wait during the start. The jobs file may change meanwhile, so it is read again afterwards."""
        systemd.starting(why)
        threading.Event().wait(timeout_s)
        if self._wakes.empty() and self._definitions.daemon.reload is Reload.WATCH:
            self._wakes.put(_Wake.CHANGED)

    def _take(self, lock: Lock) -> None:
        """Take the ledger's lock; wait for a `run-now` that holds it."""
        said = False
        suspect, since_ns = "", 0
        while not lock.acquire():
            holder = instances.latest(self._ledger)
            if holder is None or (holder.kind == "daemon" and holder.stopped_ns is None):
                # A run-now that has just taken the lock has no row yet, and the latest one is of a daemon that was killed.
                who, now_ns = str(holder or "another process"), self._clock.monotonic_ns()
                if who != suspect:
                    suspect, since_ns = who, now_ns
                elif now_ns - since_ns > SECOND:
                    hint = "one daemon runs the jobs of a ledger"
                    raise Locked(f"the ledger {self._ledger.url!r} is locked by {who}", hint=hint)
            elif not said:
                is_run_now = holder.kind == "run-now"
                who = "waiting for the run-now that holds the ledger" if is_run_now else "waiting for the daemon that is stopping"
                log.info(who, pid=holder.pid)
                said = True
            self._wait("waiting for the ledger's lock", _LOCK_S)
        self._await_last(instances.latest(self._ledger))

    def _await_last(self, last: Instance | None) -> None:
        """A daemon whose PostgreSQL session has ended has lost the lock, and notices it with its next heartbeat."""
        if self._ledger.path is None and last is not None and last.may_run(self._clock.wall_ns()):
            log.warning("waiting for the end of the process that has lost the ledger's lock", last=str(last))
            while (now := instances.latest(self._ledger)) and now.id == last.id and now.may_run(self._clock.wall_ns()):
                self._wait("waiting for the end of the last daemon", _LOCK_S)

    def _serve(self, lock: Lock) -> int:
        ledger, clock, version = self._ledger, self._clock, self._definitions.version
        instance = instances.register(ledger, kind="daemon", config_version=version, now_ns=clock.wall_ns())
        heard = partial(self._wakes.put, _Wake.HEARD)
        service = Service(ledger, self._definitions, clock=clock, instance=instance, since_ns=self._since_ns, heard=heard)
        self._service = service
        reloads = Reloads(service, self._file, is_stopping=lambda: self._stopping, reloaded=partial(self._watch_files, service))
        fresh = service.station.executors.fresh(self._file.apps.values(), self._file.folder)
        self._watch_files(service)  # the start may take long, and the file may change meanwhile
        try:
            service.start(fresh)
        except RuntimeError as error:
            hint = "it needs some 20 threads: look at its limits of memory and of tasks (ulimit -v, ulimit -u, TasksMax)"
            raise TminusError(f"the daemon does not start: {error}", hint=hint) from error
        pulse = Pulse(service, lock, lost=lambda: self._wakes.put(_Wake.LOST))
        pulse.start()
        with contextlib.suppress(Stopping):
            reloads.await_code(fresh)
            reloads.hear()
        systemd.notify("READY=1", f"STATUS={service.status()}")
        definitions = service.station.definitions
        log.info("ready", jobs=len(definitions.jobs), config_version=definitions.version, ledger=repr(ledger.url))
        while not (wakes := self._next_wakes(_WAIT_S)) & {_Wake.STOP, _Wake.LOST}:
            with contextlib.suppress(Stopping):  # that wakes the next turn
                if wakes & {_Wake.RELOAD, _Wake.CHANGED}:
                    reloads.reload(is_asked_for=_Wake.RELOAD in wakes)
                else:
                    reloads.hear()
        systemd.notify("STOPPING=1")
        pulse.announce_stop()
        self._files.stop()
        well = service.stop(at_once=_Wake.LOST in wakes)
        pulse.stop(_LAST_S)
        if _Wake.LOST in wakes:
            log.error("ended: another process runs jobs on the ledger now")
            return 1
        # Aside: the ledger may be locked.
        is_done(aside(lambda: instances.stopped(ledger, instance, clock.wall_ns()), name="stopped"), _LAST_S)
        log.info("stopped") if well else log.error("stopped, and not all outcomes could be written")
        return 0 if well else 1

    def _watch_files(self, service: Service) -> None:
        definitions = service.station.definitions
        if definitions.daemon.reload is Reload.WATCH:
            self._files.start(definitions.paths)
        else:
            self._files.stop()

    def _next_wakes(self, timeout_s: float) -> set[_Wake]:
        """Wait for a wake-up; return all that are queued. A hundred requests to reload become one, and none delays a stop."""
        wakes: set[_Wake] = set()
        # Never without a timeout: a signal that comes just before the wait, or to another thread, does not end the wait.
        with contextlib.suppress(queue.Empty):
            wakes.add(self._wakes.get(timeout=timeout_s))
            while True:
                wakes.add(self._wakes.get_nowait())
        return wakes
