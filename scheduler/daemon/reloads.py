"""Reloads: the jobs file and the applications' code, as they are now, come into force as a whole or not at all."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import structlog

from scheduler.aside import aside
from scheduler.daemon import systemd
from scheduler.daemon.executors import Runners
from scheduler.daemon.foreground import Stopping, wait_unless
from scheduler.daemon.service import Service
from scheduler.errors import LedgerError
from scheduler.instants import SECOND
from scheduler.jobsfile.load import JobsFile, Loaded
from scheduler.jobsfile.problems import Problem
from scheduler.model.code import CodeJob, updated
from scheduler.model.definitions import Definitions

log = structlog.get_logger()

_Result = TypeVar("_Result")

_LOOK_S = 0.1
#: The daemon is ready once `run-now` knows the jobs in the code, too; `run-now` waits as long for its request to be taken.
#: The jobs of an import that takes longer come when it is done.
_CODE_NS = 5 * SECOND
#: A runner that replaces one that works is waited for; an application that is not imported by then never will be.
_IMPORT_NS = 60 * SECOND
#: How long to wait before retrying a reload that failed because of the ledger.
_AGAIN_NS = 10 * SECOND
_LONGEST_REASON = 500


class Reloads:
    """
    Belongs to the thread of the service.

    Args:
        file: The jobs file that is in force.
        is_stopping: Returns whether the process is to stop. Then every wait ends, and `Stopping` is raised.
        reloaded: Called when other definitions are in force.
    """

    def __init__(
        self, service: Service, file: JobsFile, *, is_stopping: Callable[[], bool], reloaded: Callable[[], None]
    ) -> None:
        self._service = service
        self._file = file
        self._is_stopping = is_stopping
        self._reloaded = reloaded
        self._clock = service.station.clock
        self._executors = service.station.executors
        self._is_broken = False
        self._rejected: Sequence[CodeJob] | None = None  #: reported by runners, and not valid
        self._again_ns: int | None = None  #: when the failed reload is retried; monotonic clock

    def reload(self, *, is_asked_for: bool) -> None:
        """
        Take the jobs file and the applications' code as they are now.

        Args:
            is_asked_for: Whether to do so even if the file has not changed.

        Raises:
            Stopping: the process is to stop.
        """
        systemd.reloading(self._clock.monotonic_ns())
        self._again_ns = None
        if not self._guarded(lambda: self._reload(is_asked_for=is_asked_for)):
            self._again_ns = self._clock.monotonic_ns() + _AGAIN_NS
        systemd.notify("READY=1", f"STATUS={self._service.status()}")

    def hear(self) -> None:
        """
        Take the jobs that runners have reported from their applications' code since the last time, if they have changed.

        If the ledger did not take the last reload, make that again.

        Raises:
            Stopping: the process is to stop.
        """
        if self._again_ns is None:
            self._guarded(self._hear)
        elif self._clock.monotonic_ns() >= self._again_ns:
            self.reload(is_asked_for=True)  # a part of it may be in force

    def await_code(self, runners: Runners) -> None:
        """
        Wait for the reports of these runners; meanwhile all known jobs run.

        The wait ends after a while, except for a runner that is to replace one that works.

        Raises:
            Stopping: the process is to stop.
        """
        until_ns, longest_ns = self._clock.monotonic_ns() + _CODE_NS, self._clock.monotonic_ns() + _IMPORT_NS
        while self._clock.monotonic_ns() < (longest_ns if self._executors.replace_working(runners) else until_ns):
            if self._executors.have_spoken(runners, _LOOK_S):
                return
            if self._is_stopping():
                raise Stopping

    def _guarded(self, change: Callable[[], None]) -> bool:
        """
        Make a change; whatever comes of it, what is in force stays in force unless all of the new is.

        Returns:
            Whether the ledger works.
        """
        try:
            change()
        except Stopping:
            raise
        except LedgerError as error:
            log.error("the ledger does not work, the old jobs file stays in force, trying again", error=error.message)
            return False
        except Exception as error:
            self._reject(
                f"the reload failed, the old configuration is in force: {type(error).__name__}: {error}"[:_LONGEST_REASON]
            )
            log.exception("the reload failed, the old jobs file stays in force")
        return True

    def _reload(self, *, is_asked_for: bool) -> None:
        """Take the jobs file and the applications' code as they are now; if they are not valid, log why and keep the old ones."""
        file = self._unless_stopping(lambda: JobsFile(self._file.path))
        before, executors = self._service.station.definitions, self._executors
        loaded = self._load(file, before.code)
        if is_asked_for or self._rejected is not None or loaded.definitions is None or _differ(loaded.definitions, before):
            fresh = executors.fresh(file.apps.values(), file.folder)
            try:
                self.await_code(fresh)
                code = updated(before.code, executors.code(fresh))
                if code != before.code:
                    loaded = self._load(file, code)
                if self._adopt(loaded, code, fresh):
                    self._file = file
                    self._reloaded()
            finally:
                executors.discard(fresh)
        elif self._is_broken:
            log.info("the jobs file is valid again", config_version=before.version)
            self._is_broken, self._service.rejected = False, None

    def _load(self, file: JobsFile, code: Iterable[CodeJob]) -> Loaded:
        return self._unless_stopping(lambda: file.load(code))

    def _unless_stopping(self, do: Callable[[], _Result]) -> _Result:
        """Do what may take long, or hang with the file system, without delaying a stop."""
        return wait_unless(self._is_stopping, aside(do, name="loader"))

    def _hear(self) -> None:
        """Take the reported jobs if they have changed."""
        known = self._service.station.definitions.code
        code = updated(known, self._executors.code())
        file_is_broken = self._is_broken and self._rejected is None  # then nothing new comes into force, and status says why
        if code not in (known, self._rejected) and not file_is_broken:
            self._adopt(self._load(self._file, code), code, None)

    def _adopt(self, loaded: Loaded, code: Sequence[CodeJob], fresh: Runners | None) -> bool:
        if loaded.definitions is None:
            log.error("the jobs file is not valid, the old one stays in force", errors=len(loaded.errors))
            for problem in loaded.errors:
                log.error("jobs file", at=_place(problem), problem=problem.message, hint=problem.hint)
            at = f"{_place(loaded.errors[0])}: {loaded.errors[0].message}"
            self._reject(f"the jobs file is not valid, an old one is in force: {at}")
            self._rejected = code if code != self._service.station.definitions.code else None
            return False
        executors = self._executors
        runners = executors.complete(loaded.definitions, fresh)
        try:
            if fresh is not None:
                self.await_code(runners)
                if why := executors.why_not(runners):
                    self._reject(f"an application does not work, the old configuration is in force: {why}")
                    log.error("an application does not work, the old jobs file and runners stay in force", error=why)
                    return False
            self._service.reload(loaded.definitions, runners)
        finally:
            executors.discard(runners)
        log.info("reloaded", jobs=len(loaded.definitions.jobs), config_version=loaded.definitions.version)
        self._is_broken, self._rejected, self._service.rejected = False, None, None
        return True

    def _reject(self, why: str) -> None:
        self._is_broken, self._rejected, self._service.rejected = True, None, why


def _differ(one: Definitions, other: Definitions) -> bool:
    return (one.version, one.daemon, one.apps) != (other.version, other.daemon, other.apps)


def _place(problem: Problem) -> str:
    return f"{problem.path}:{problem.line}:{problem.column}"
