"""The daemon: the order of start, ready, reload and stop; signals."""

import contextlib
import queue
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from enum import Enum, auto
from functools import partial
from typing import TypeVar

import structlog

from scheduler.clock import Clock
from scheduler.daemon import systemd
from scheduler.daemon.executors import Runners
from scheduler.daemon.file_watch import FileWatch
from scheduler.daemon.pulse import Pulse
from scheduler.daemon.service import Service
from scheduler.errors import LedgerAway, LedgerError, TminusError
from scheduler.instants import SECOND
from scheduler.jobsfile.load import JobsFile, Loaded
from scheduler.jobsfile.problems import Problem
from scheduler.ledger import instances
from scheduler.ledger.engine import Ledger, bring_up_to_date
from scheduler.ledger.instances import Instance
from scheduler.ledger.lock import Lock, lock_of
from scheduler.model.code import CodeJob, updated
from scheduler.model.definitions import Definitions, Reload
from scheduler.operations.published_ledger import Publication

log = structlog.get_logger()

_Found = TypeVar("_Found")

_WAIT_S = 1.0
_LOOK_S = 0.1
#: Between two tries for the ledger's lock.
_LOCK_S = 0.2
#: What is waited for is said this often.
_SAY_NS = 60 * SECOND
#: Ready means that `run-now` knows the jobs in the code, too; it waits as long itself for its request to be taken. An import that
#: takes longer makes nobody wait: its jobs come when it is done.
_CODE_NS = 5 * SECOND
#: Who writes gives the GIL back with each statement, and gets it again after this: web workers wait for the end of it.
_SWITCH_S = 0.0005
_STOPS = (signal.SIGTERM, signal.SIGINT)


class Locked(TminusError):
    """Another daemon runs jobs on this ledger."""


class _Stopped(BaseException):
    """SIGTERM or SIGINT, before anything has begun."""


class _Wake(Enum):
    RELOAD = auto()  #: asked for
    CHANGED = auto()  #: a file has changed
    HEARD = auto()  #: a runner has said which jobs its application's code defines
    LOST = auto()  #: another process runs jobs on the ledger now
    STOP = auto()


class Daemon:
    """
    Runs until SIGTERM or SIGINT; SIGHUP reads the jobs file again. Belongs to the main thread, and sets its signal handlers.

    Args:
        file: The jobs file.
        definitions: What it says, with what is known of the jobs in its applications' code.
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
        self._is_broken = False
        self._rejected: Sequence[CodeJob] | None = None  #: said by runners, and not valid
        self._files = FileWatch(lambda: self._wakes.put(_Wake.CHANGED))

    def run(self) -> int:
        """
        Returns:
            The exit status.

        Raises:
            Locked: another daemon holds the ledger.
        """
        sys.setswitchinterval(_SWITCH_S)
        lock: Lock | None = None
        try:
            self._listen()
            self._ledger = self._patiently(self._open_ledger)
            lock = lock_of(self._ledger, goes_first=True)
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
        except _Stopped:
            return 0
        finally:
            if lock is not None:
                lock.release()

    def _listen(self) -> None:
        def stop(_number: int, _frame: object) -> None:
            # A second one, of either kind, means: now. The ledger bears it, as it bears kill -9.
            for number in _STOPS:
                signal.signal(number, signal.SIG_DFL)
            self._stopping = True
            self._wakes.put(_Wake.STOP)
            if self._is_starting:  # nothing has begun; whatever it waits for, it waits no longer
                raise _Stopped

        for number in _STOPS:
            signal.signal(number, stop)
        signal.signal(signal.SIGHUP, lambda _number, _frame: self._wakes.put(_Wake.RELOAD))

    def _patiently(self, action: Callable[[], _Found]) -> _Found:
        """Do it; wait for the ledger's database, which may start after this daemon."""
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
        """Wait before anything has begun. The jobs file may change meanwhile, so it is looked at again afterwards."""
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
        fresh = service.station.executors.fresh(self._file.apps.values(), self._file.folder)
        service.start(fresh)
        pulse = Pulse(service, lock, lost=lambda: self._wakes.put(_Wake.LOST))
        pulse.start()
        self._watch_files(service)
        self._await_code(service, fresh)
        self._hear(service)
        systemd.notify("READY=1", f"STATUS={service.status()}")
        definitions = service.station.definitions
        log.info("ready", jobs=len(definitions.jobs), config_version=definitions.version, ledger=repr(ledger.url))
        while (wake := self._next_wake(_WAIT_S)) not in (_Wake.STOP, _Wake.LOST):
            if wake in (_Wake.RELOAD, _Wake.CHANGED):
                self._reload(service, is_asked_for=wake is _Wake.RELOAD)
            else:
                self._hear(service)
        systemd.notify("STOPPING=1")
        pulse.announce_stop()
        self._files.stop()
        well = service.stop(at_once=wake is _Wake.LOST)
        pulse.stop()
        if wake is _Wake.LOST:
            log.error("ended: another process runs jobs on the ledger now")
            return 1
        instances.stopped(ledger, instance, clock.wall_ns())
        log.info("stopped") if well else log.error("stopped, and not all outcomes could be written")
        return 0 if well else 1

    def _reload(self, service: Service, *, is_asked_for: bool) -> None:
        """Take the jobs file and the applications' code as they are now; a bad one keeps the old ones running, and says why."""
        systemd.reloading(self._clock.monotonic_ns())
        file, before, executors = JobsFile(self._file.path), service.station.definitions, service.station.executors
        loaded = file.load(before.code)
        if is_asked_for or self._rejected is not None or loaded.definitions is None or _differ(loaded.definitions, before):
            fresh = executors.fresh(file.apps.values(), file.folder)
            self._await_code(service, fresh)
            code = updated(before.code, executors.code(fresh))
            if code != before.code:
                loaded = file.load(code)
            if self._adopt(service, loaded, code, fresh):
                self._file = file
                self._watch_files(service)
            else:
                executors.discard(fresh)
        elif self._is_broken:
            log.info("the jobs file is valid again", config_version=before.version)
            self._is_broken = False
            service.rejected = None
        systemd.notify("READY=1", f"STATUS={service.status()}")

    def _hear(self, service: Service) -> None:
        """Take what the runners have said since of the jobs in their applications' code, where that is something new."""
        known = service.station.definitions.code
        code = updated(known, service.station.executors.code())
        file_is_broken = self._is_broken and self._rejected is None  # then nothing new comes into force, and status says why
        if code not in (known, self._rejected) and not file_is_broken:
            self._adopt(service, self._file.load(code), code, None)

    def _adopt(self, service: Service, loaded: Loaded, code: Sequence[CodeJob], fresh: Runners | None) -> bool:
        if loaded.definitions is None:
            log.error("the jobs file is not valid, the old one stays in force", errors=len(loaded.errors))
            for problem in loaded.errors:
                log.error("jobs file", at=_place(problem), problem=problem.message, hint=problem.hint)
            self._is_broken, self._rejected = True, code if code != service.station.definitions.code else None
            at = f"{_place(loaded.errors[0])}: {loaded.errors[0].message}"
            service.rejected = f"the jobs file is not valid, an old one is in force: {at}"
            return False
        try:
            service.reload(loaded.definitions, fresh)
        except LedgerError as error:
            log.error("the ledger does not work, the old jobs file stays in force", error=error.message)
            return False
        log.info("reloaded", jobs=len(loaded.definitions.jobs), config_version=loaded.definitions.version)
        self._is_broken, self._rejected, service.rejected = False, None, None
        return True

    def _await_code(self, service: Service, runners: Runners) -> None:
        """Meanwhile all jobs that are known run. What has not been said by then is heard later."""
        until_ns = self._clock.monotonic_ns() + _CODE_NS
        while not self._stopping and self._clock.monotonic_ns() < until_ns:
            if service.station.executors.has_spoken(runners, _LOOK_S):
                return

    def _watch_files(self, service: Service) -> None:
        definitions = service.station.definitions
        if definitions.daemon.reload is Reload.WATCH:
            self._files.start(definitions.paths)
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
