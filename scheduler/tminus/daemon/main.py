"""The daemon: the order of start, ready and stop."""

import contextlib
import glob
import queue
import sys
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import TypeVar

import structlog

from tminus.clock import Clock
from tminus.daemon import systemd
from tminus.daemon.allocator import limit_arenas
from tminus.daemon.file_watch import FileWatch
from tminus.daemon.foreground import Foreground, Stopping
from tminus.daemon.heartbeat import Heartbeat, Watchdog
from tminus.daemon.reloads import Reloads
from tminus.daemon.runtime import Runtime, open_runtime
from tminus.daemon.service import Service
from tminus.errors import LedgerAway, LedgerError, TminusError
from tminus.instants import SECOND
from tminus.jobsfile.load import JobsFile
from tminus.ledger import instances, requests
from tminus.ledger.engine import Ledger, bring_up_to_date
from tminus.ledger.instances import Instance
from tminus.ledger.lock import RETRY_NS, Lock, lock_of, wait_in_queue
from tminus.ledger.requests import RequestRow
from tminus.model.definitions import Definitions, Reload
from tminus.operations.published_ledger import Publication

log = structlog.get_logger()

_Opened = TypeVar("_Opened")

_LONGEST_WAIT_S = 1.0
#: A wait for the database is logged this often.
_LOG_EVERY_NS = 60 * SECOND
#: The PostgreSQL session of a process that was killed ends within this time, also on a busy machine.
_SESSION_ENDS_NS = 10 * SECOND
#: Time limit for each of file watch, watchdog and heartbeat to end.
_JOIN_TIMEOUT_S = 0.5
#: A thread that writes to the ledger releases the GIL with each statement. Another thread gives the GIL back
#: after this long, while web workers wait for the end of the transaction.
_SWITCH_S = 0.0005


class Locked(TminusError):
    """Another daemon runs jobs on this ledger."""


class _Wake(Enum):
    RELOAD = auto()  #: a reload was requested
    CHANGED = auto()  #: a file has changed
    CODE_JOBS = auto()  #: a runner has reported which jobs its application's code defines
    LOST = auto()  #: another process runs jobs on the ledger now
    STOP = auto()


class Daemon:
    """
    Runs until SIGTERM or SIGINT; SIGHUP reloads the jobs file. `run` starts a thread for the daemon, and
    receives signals on the main thread.

    Args:
        file: The jobs file.
        definitions: The definitions of the file, with the known jobs of its applications' code.
        open_ledger: Opens the ledger.
        since_ns: When this process started, wall clock.
    """

    def __init__(
        self,
        file: JobsFile,
        definitions: Definitions,
        open_ledger: Callable[[], Ledger],
        *,
        clock: Clock,
        since_ns: int,
    ) -> None:
        self._file = file
        self._definitions = definitions
        self._open_ledger = open_ledger
        self._clock = clock
        self._since_ns = since_ns
        self._wakes: queue.SimpleQueue[_Wake] = queue.SimpleQueue()
        self._reload_requests: queue.SimpleQueue[RequestRow] = queue.SimpleQueue()
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
        limit_arenas()
        return Foreground(
            self._clock,
            stop=self._ask_to_stop,
            reload=lambda: self._wakes.put(_Wake.RELOAD),
            has_begun=lambda: not self._is_starting,
            grace_ns=lambda: self._in_force.daemon.shutdown_grace_ns,
            kill=lambda: self._service.runtime.executors.kill() if self._service else None,
        ).run(self._run)

    def _run(self) -> int:
        sys.setswitchinterval(_SWITCH_S)
        self._ledger = self._wait_for_database(self._open_ledger)
        lock = lock_of(self._ledger, goes_first=True)
        try:
            self._wait_for_database(partial(self._take_lock, lock))
            bring_up_to_date(self._ledger)
            self._is_starting = False
            if self._stopping:
                return 0
            self._ledger.guard = lock.check
            with contextlib.closing(Publication(self._file.path, self._ledger.url)) as publication:
                if not publication.is_published:
                    log.warning(
                        "commands cannot find out which ledger this daemon uses: too many daemons use this "
                        "jobs file"
                    )
                return self._serve(lock)
        finally:
            lock.release()

    def _ask_to_reload(self, request: RequestRow) -> None:
        self._reload_requests.put(request)
        self._wakes.put(_Wake.RELOAD)

    def _ask_to_stop(self) -> None:
        self._stopping = True
        self._wakes.put(_Wake.STOP)

    @property
    def _in_force(self) -> Definitions:
        return self._service.runtime.definitions if self._service else self._definitions

    def _wait_for_database(self, action: Callable[[], _Opened]) -> _Opened:
        """
        Return the result of the action; wait for the ledger's database, which may start after this daemon.
        """
        logged_ns = None
        while True:
            try:
                return action()
            except LedgerAway as error:
                now_ns = self._clock.monotonic_ns()
                if logged_ns is None or now_ns - logged_ns >= _LOG_EVERY_NS:
                    log.warning("waiting for the database of the ledger", error=error.message)
                    logged_ns = now_ns
                self._wait("waiting for the database of the ledger", SECOND)

    def _wait(self, status: str, timeout_ns: int) -> None:
        """Wait during the start. The jobs file may change meanwhile, so it is read again afterwards."""
        systemd.starting(status)
        self._clock.pause(timeout_ns)
        if self._wakes.empty() and self._definitions.daemon.reload is Reload.WATCH:
            self._wakes.put(_Wake.CHANGED)

    def _take_lock(self, lock: Lock) -> None:
        """Take the ledger's lock; wait for a `run-now` that holds it."""
        is_logged = False
        blocking_holder, since_ns = "", 0
        for _ in wait_in_queue(lock, pause=partial(self._wait, "waiting for the ledger's lock")):
            holder = instances.latest(self._ledger)
            if holder is None or (holder.kind == "daemon" and holder.stopped_ns is None):
                # A run-now that has just taken the lock has no row yet, and the latest one is of a daemon
                # that was killed.
                name, now_ns = str(holder or "another process"), self._clock.monotonic_ns()
                if name != blocking_holder:
                    blocking_holder, since_ns = name, now_ns
                    if self._patience_ns(holder) > SECOND:
                        log.info("the last daemon was killed, waiting for the ledger's lock", holder=name)
                elif now_ns - since_ns > self._patience_ns(holder):
                    hint = "one daemon runs the jobs of a ledger"
                    raise Locked(f"the ledger {self._ledger.url!r} is locked by {name}", hint=hint)
            elif not is_logged:
                is_run_now = holder.kind == "run-now"
                log.info(
                    "waiting for the run-now that holds the ledger"
                    if is_run_now
                    else "waiting for the daemon that is stopping",
                    pid=holder.pid,
                )
                is_logged = True
        self._wait_for_previous_holder(instances.latest(self._ledger))

    def _patience_ns(self, holder: Instance | None) -> int:
        """
        Return how long to wait for the lock of a daemon. The PostgreSQL session of one that was killed ends a
        little later than its process.
        """
        is_dead = holder is not None and not holder.may_run(self._clock.wall_ns())
        return _SESSION_ENDS_NS if is_dead else SECOND

    def _wait_for_previous_holder(self, last: Instance | None) -> None:
        """
        A daemon whose PostgreSQL session has ended has lost the lock, and notices it with its next heartbeat.
        """
        if self._ledger.path is None and last is not None and last.may_run(self._clock.wall_ns()):
            log.warning("waiting for the end of the process that has lost the ledger's lock", last=str(last))
            while (
                (now := instances.latest(self._ledger))
                and now.id == last.id
                and now.may_run(self._clock.wall_ns())
            ):
                self._wait("waiting for the end of the last daemon", RETRY_NS)

    def _serve(self, lock: Lock) -> int:
        """Run until a stop, or until the ledger is lost; return the exit status."""
        with open_runtime(
            self._ledger,
            self._definitions,
            kind="daemon",
            clock=self._clock,
            on_code_jobs=partial(self._wakes.put, _Wake.CODE_JOBS),
        ) as runtime:
            is_lost, are_written = self._run_service(runtime, lock)
        if is_lost:
            log.error("ended: another process runs jobs on the ledger now")
            return 1
        log.info("stopped") if are_written else log.error("stopped, and not all outcomes could be written")
        return 0 if are_written else 1

    def _run_service(self, runtime: Runtime, lock: Lock) -> tuple[bool, bool]:
        """Return whether the ledger was lost, and whether all outcomes are written."""
        service = self._service = Service(runtime, since_ns=self._since_ns, on_reload=self._ask_to_reload)
        reloads = Reloads(
            service,
            self._file,
            is_stopping=lambda: self._stopping,
            on_read=partial(self._watch_files, service),
        )
        runners = runtime.executors.start_runners(self._file.apps.values(), self._file.folder)
        self._watch_files(service, self._file)  # the start may take long, and the file may change meanwhile
        try:
            service.start(runners)
        except RuntimeError as error:
            hint = (
                "it needs some 20 threads: look at its limits of memory and of tasks (ulimit -v, ulimit "
                "-u, TasksMax)"
            )
            raise TminusError(f"the daemon does not start: {error}", hint=hint) from error
        heartbeat = Heartbeat(service, lock, on_lost=lambda: self._wakes.put(_Wake.LOST))
        watchdog = Watchdog(service)
        heartbeat.start()
        watchdog.start()
        with contextlib.suppress(Stopping):
            reloads.wait_for_code_jobs(runners)
            reloads.step()
        systemd.notify("READY=1", f"STATUS={service.status()}")
        log.info(
            "ready",
            jobs=len(runtime.definitions.jobs),
            config_version=runtime.definitions.version,
            ledger=repr(self._ledger.url),
        )
        wakes = self._reload_until_stop(reloads)
        systemd.notify("STOPPING=1")
        heartbeat.announce_stop()
        self._files.stop(_JOIN_TIMEOUT_S)
        are_written = service.stop(at_once=_Wake.LOST in wakes)
        watchdog.stop(_JOIN_TIMEOUT_S)
        heartbeat.stop(_JOIN_TIMEOUT_S)
        return _Wake.LOST in wakes, are_written

    def _reload_until_stop(self, reloads: Reloads) -> set[_Wake]:
        """Reload when that is asked for; return the wake-ups that end the daemon."""
        while not (wakes := self._next_wakes(_LONGEST_WAIT_S)) & {_Wake.STOP, _Wake.LOST}:
            asked = [self._reload_requests.get() for _ in range(self._reload_requests.qsize())]
            with contextlib.suppress(Stopping):  # the next iteration gets the wake-up for it
                reloads.step(
                    is_asked_for=_Wake.RELOAD in wakes or bool(asked), has_changed=_Wake.CHANGED in wakes
                )
                for request in asked:
                    self._answer_reload(request)
        return wakes

    def _answer_reload(self, request: RequestRow) -> None:
        """Tell the command that has asked for a reload how it ended."""
        problem = self._service.config_problem if self._service else None
        answer = {"config_version": self._in_force.version, "problem": problem}
        try:
            requests.change_answer(self._ledger, request, answer)
        except LedgerError as error:
            log.error("the answer to a reload cannot be written", error=error.message)

    def _watch_files(self, service: Service, file: JobsFile) -> None:
        """Watch the paths of this file and of the definitions in force, unless only a request reloads."""
        definitions = service.runtime.definitions
        patterns = {*file.patterns, *map(glob.escape, definitions.paths)}
        self._files.watch(patterns if definitions.daemon.reload is Reload.WATCH else ())

    def _next_wakes(self, timeout_s: float) -> set[_Wake]:
        """
        Wait for a wake-up; return all that are queued. A hundred requests to reload become one, and none
        delays a stop.
        """
        wakes: set[_Wake] = set()
        # Always with a timeout: a signal that arrives just before the wait, or in another thread, does not
        # end the wait.
        with contextlib.suppress(queue.Empty):
            wakes.add(self._wakes.get(timeout=timeout_s))
            while True:
                wakes.add(self._wakes.get_nowait())
        return wakes
