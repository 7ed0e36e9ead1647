"""
Reloads: the jobs file and the applications' code, as they are now, come into force as a whole or not at all.
If the ledger fails meanwhile, a part may be in force until the retry.

`configuration.py` has the states; this module does what they ask for.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import structlog

from tminus.aside import aside
from tminus.daemon import systemd
from tminus.daemon.configuration import Configuration, NextStep
from tminus.daemon.foreground import Stopping, wait_unless
from tminus.daemon.processes.executors import Runners
from tminus.daemon.service import Service
from tminus.errors import LedgerError
from tminus.instants import SECOND
from tminus.jobsfile.load import JobsFile, Loaded
from tminus.jobsfile.text.problems import Problem
from tminus.model.code_job import CodeJob, merge_code_jobs
from tminus.model.definitions import Definitions

log = structlog.get_logger()

_Result = TypeVar("_Result")

_LOOK_S = 0.1
#: The daemon reports that it is ready once it knows the jobs in the code, or after this long. `run-now` waits
#: for the daemon equally long. If an import takes longer, its jobs are taken when it ends.
_CODE_NS = 5 * SECOND
#: Limit for the wait for a runner that replaces one that works: an application that takes longer to import
#: never will be imported.
_IMPORT_NS = 60 * SECOND
#: How long to wait before retrying a reload that failed because of the ledger.
_AGAIN_NS = 10 * SECOND
_LONGEST_REASON = 500
#: The parts of the definitions that a reload may change. `version` stands for the jobs.
_PARTS = ("version", "daemon", "apps", "channels", "start_slo")


class Reloads:
    """
    The reloads of a daemon. Belongs to the thread of the service.

    Args:
        file: The jobs file that is in force.
        is_stopping: Returns whether the process is to stop. Then every wait ends, and `Stopping` is raised.
        on_read: Called after each load with the jobs file that was read, whether it is in force or not.
    """

    def __init__(
        self,
        service: Service,
        file: JobsFile,
        *,
        is_stopping: Callable[[], bool],
        on_read: Callable[[JobsFile], None],
    ) -> None:
        self._service = service
        self._file = file
        self._is_stopping = is_stopping
        self._on_read = on_read
        self._clock = service.runtime.clock
        self._executors = service.runtime.executors
        self._configuration = Configuration()

    def step(self, *, is_asked_for: bool = False, has_changed: bool = False) -> None:
        """
        Reload, or take the jobs that runners have reported, if there is a reason.

        Args:
            is_asked_for: Whether a person has asked for a reload.
            has_changed: Whether a file has changed.

        Raises:
            Stopping: the process is to stop.
        """
        now_ns = self._clock.monotonic_ns()
        match self._configuration.next_step(
            is_asked_for=is_asked_for, has_changed=has_changed, now_ns=now_ns
        ):
            case NextStep.RELOAD:
                self._reload(always=True)
            case NextStep.RELOAD_CHANGES:
                self._reload(always=False)
            case NextStep.TAKE_CODE_JOBS:
                self._guarded(self._take_code_jobs)

    def wait_for_code_jobs(self, runners: Runners) -> None:
        """
        Wait for the reports of these runners; meanwhile all known jobs run.

        The wait ends after `_CODE_NS`, or after `_IMPORT_NS` for a runner that is to replace one that works.

        Raises:
            Stopping: the process is to stop.
        """
        until_ns, longest_ns = self._clock.monotonic_ns() + _CODE_NS, self._clock.monotonic_ns() + _IMPORT_NS
        while self._clock.monotonic_ns() < (
            longest_ns if self._executors.would_replace_working(runners) else until_ns
        ):
            if self._executors.wait_for_reports(runners, _LOOK_S):
                return
            if self._is_stopping():
                raise Stopping

    def _reload(self, *, always: bool) -> None:
        """Take the jobs file and the applications' code as they are now; report the reload to systemd."""
        systemd.reloading(self._clock.monotonic_ns())
        self._become(self._configuration.start_reload())
        self._guarded(lambda: self._load_and_adopt(always=always))
        systemd.notify("READY=1", f"STATUS={self._service.status()}")

    def _guarded(self, change: Callable[[], None]) -> None:
        """Make a change. If it fails, `status` shows the reason."""
        try:
            change()
        except Stopping:
            raise
        except LedgerError as error:
            log.error(
                "the ledger did not take the reload, a part of it may be in force, trying again",
                error=error.message,
            )
            problem = f"the ledger did not take the reload, trying again: {error.message}"
            self._become(self._configuration.fail_to_write(problem, self._clock.monotonic_ns() + _AGAIN_NS))
        except Exception as error:
            message = f"the reload failed, the old configuration is in force: {type(error).__name__}: {error}"
            self._reject(message[:_LONGEST_REASON])
            log.exception("the reload failed, the old jobs file stays in force")

    def _load_and_adopt(self, *, always: bool) -> None:
        """
        Load the jobs file and the applications' code, and put them into force. If they are not valid, log why
        and keep the old ones.

        Args:
            always: Whether to start new runners even if the file still means what is in force.
        """
        file = self._unless_stopping(lambda: JobsFile(self._file.path))
        try:
            self._adopt_file(file, always=always)
        finally:
            self._on_read(file)

    def _adopt_file(self, file: JobsFile, *, always: bool) -> None:
        before, executors = self._service.runtime.definitions, self._executors
        loaded = self._load(file, before.code)
        is_same = loaded.definitions is not None and not _differ(loaded.definitions, before)
        if is_same and not always and self._configuration.rejected_code is None:
            if self._configuration.problem:
                log.info("the jobs file is valid again", config_version=before.version)
            self._become(self._configuration.adopt())
            return
        runners = executors.start_runners(file.apps.values(), file.folder)
        try:
            self.wait_for_code_jobs(runners)
            code = merge_code_jobs(before.code, executors.code_jobs(runners))
            if code != before.code:
                loaded = self._load(file, code)
            if self._adopt(loaded, code, runners):
                self._file = file
        finally:
            executors.discard(runners)

    def _load(self, file: JobsFile, code: Iterable[CodeJob]) -> Loaded:
        return self._unless_stopping(lambda: file.load(code))

    def _unless_stopping(self, do: Callable[[], _Result]) -> _Result:
        """Call a function that may hang with the file system; a stop does not wait for it."""
        return wait_unless(self._is_stopping, aside(do, name="loader"))

    def _take_code_jobs(self) -> None:
        """Take the jobs that runners have reported, if they have changed and were not rejected before."""
        in_force = self._service.runtime.definitions.code
        code = merge_code_jobs(in_force, self._executors.code_jobs())
        if not self._configuration.may_take(code, in_force=in_force):
            return
        if not self._configuration.is_reload_refused:
            self._adopt(self._load(self._file, code), code, None)
            return
        self._reload(always=True)
        if self._configuration.rejected_code is not None:
            # The new runners, whose code that is, have ended. What the old ones report is not tried again.
            self._become(replace(self._configuration, rejected_code=code))

    def _adopt(self, loaded: Loaded, code: Sequence[CodeJob], new_runners: Runners | None) -> bool:
        """Put what was loaded into force. If that is impossible, return False; `status` shows the reason."""
        if loaded.definitions is None:
            log.error("the jobs file is not valid, the old one stays in force", errors=len(loaded.errors))
            for problem in loaded.errors:
                log.error("jobs file", at=_place(problem), problem=problem.message, hint=problem.hint)
            at = f"{_place(loaded.errors[0])}: {loaded.errors[0].message}"
            rejected = code if code != self._service.runtime.definitions.code else None
            self._reject(f"the jobs file is not valid, an old one is in force: {at}", rejected)
            return False
        executors = self._executors
        runners = executors.start_missing(loaded.definitions, new_runners)
        try:
            if new_runners is not None:
                self.wait_for_code_jobs(runners)
                if app_problem := executors.find_obstacle(runners):
                    self._reject(
                        f"an application does not work, the old configuration is in force: {app_problem}"
                    )
                    log.error(
                        "an application does not work, the old jobs file and runners stay in force",
                        error=app_problem,
                    )
                    return False
            self._service.reload(loaded.definitions, runners)
        finally:
            executors.discard(runners)
        log.info("reloaded", jobs=len(loaded.definitions.jobs), config_version=loaded.definitions.version)
        self._become(self._configuration.adopt())
        return True

    def _reject(self, problem: str, code: Sequence[CodeJob] | None = None) -> None:
        self._become(self._configuration.reject(problem, code))

    def _become(self, configuration: Configuration) -> None:
        self._configuration, self._service.config_problem = configuration, configuration.problem


def _differ(new: Definitions, old: Definitions) -> bool:
    return any(getattr(new, part) != getattr(old, part) for part in _PARTS)


def _place(problem: Problem) -> str:
    return f"{problem.path}:{problem.line}:{problem.column}"
