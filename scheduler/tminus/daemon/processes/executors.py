"""All executors of this process: the lanes, and a runner for each application that jobs need."""

import resource
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import structlog

from tminus.clock import Clock
from tminus.daemon.attempts.render import CannotRender
from tminus.daemon.processes.channels import Channel, HttpChannel, RunnerChannel
from tminus.daemon.processes.job_requests import JobRequestHandler
from tminus.daemon.processes.supervisor import Supervisor
from tminus.executors.python.start_table import StartTable
from tminus.instants import SECOND
from tminus.model.code_job import CodeJob
from tminus.model.definitions import App, Definitions
from tminus.model.job import HttpTarget, Isolate, Job, RunnerKey, Target, runner_of

log = structlog.get_logger()

Runner = Supervisor[RunnerChannel]
#: The runner of each application that is imported, or of functions that need none.
Runners = Mapping[RunnerKey, Runner]


class Executors:
    """
    The executors of one process. Thread-safe. Runners of earlier definitions end once they have nothing left
    to do.

    Args:
        job_requests: Takes the requests of jobs.
        on_code_jobs: Called when a runner has reported which jobs its application's code defines.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        job_requests: JobRequestHandler,
        on_code_jobs: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._job_requests = job_requests
        self._on_code_jobs = on_code_jobs
        self._host = socket.gethostname()
        self._lanes = Supervisor(HttpChannel(self._host), clock=clock)
        self._lock = threading.Lock()
        self._runners: Runners = {}
        self._retired: list[Runner] = []  #: also runners for a single use
        self._apps: Mapping[str, App] = {}
        self._folder = ""

    def start(self, definitions: Definitions, jobs: Iterable[Job], runners: Runners | None = None) -> None:
        """
        Start what these jobs need. Runners import their applications meanwhile.

        Args:
            runners: Runners that have been started already.

        Raises:
            TminusError: the lanes do not start.
        """
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold secrets, a runner's, too
        self._lanes.start()
        self.use_runners(definitions, self.start_missing(definitions, runners or {}, jobs))
        self._lanes.wait_until_ready()

    def start_runners(self, apps: Iterable[App], folder: str) -> Runners:
        """
        Start runners that import these applications anew. `use_runners` puts them into use; before that,
        `discard` ends them.

        Raises:
            OSError: one of them cannot be started, for example because there is no descriptor; none of them
                runs then.
        """
        return self._start_all({}, {RunnerKey(app.name): app for app in apps}, folder)

    def start_missing(
        self, definitions: Definitions, started: Runners | None, jobs: Iterable[Job] | None = None
    ) -> Runners:
        """
        Start the runners that these definitions need and that are missing; return all that they need. They
        are not in use yet.

        Args:
            started: Runners that have been started; None for those in use.
            jobs: The jobs that are to run; None for all.

        Raises:
            OSError: as for `start_runners`; what was started before runs on.
        """
        with self._lock:
            started = self._runners if started is None else started
        keys = dict.fromkeys(
            key
            for job in (definitions.jobs.values() if jobs is None else jobs)
            for key in job.runners
            if key not in started
        )
        return self._start_all(
            started, {key: definitions.apps[key.app] if key.app else None for key in keys}, definitions.folder
        )

    def discard(self, runners: Runners) -> None:
        """
        End these runners, which must have nothing to do. Those in use are left, and retired ones, which end
        by themselves.
        """
        with self._lock:
            unused = [runner for key, runner in runners.items() if self._runners.get(key) is not runner]
            unused = [runner for runner in unused if runner not in self._retired]
        for runner in unused:
            runner.kill()
        for runner in unused:
            runner.stop()

    def use_runners(self, definitions: Definitions, runners: Runners) -> None:
        """Use these runners from now on. Earlier ones end once they have nothing left to do."""
        with self._lock:
            self._apps, self._folder = definitions.apps, definitions.folder
            before = self._runners
            # A runner that has worn out since these were chosen has been replaced, and ends.
            runners = {
                key: before.get(key, runner) if runner in self._retired else runner
                for key, runner in runners.items()
            }
            self._runners = runners
            unused = [runner for key, runner in before.items() if runners.get(key) is not runner]
            self._retired = [*(runner for runner in self._retired if not runner.is_over), *unused]
        for runner in unused:
            runner.retire()

    def find_obstacle(self, runners: Runners) -> str:
        """
        Return why these runners cannot replace those in use: one does not work, and its predecessor does.
        Empty if they can.
        """
        with self._lock:
            before = self._runners
        for key, runner in runners.items():
            old = before.get(key)
            if runner.broken and not (old and old.broken):
                return f"{_place_of(key)}: {runner.broken}"
            if not runner.has_reported.is_set() and old and old.has_reported.is_set() and not old.broken:
                return f"{_place_of(key)}: it is still being imported"
        return ""

    def would_replace_working(self, runners: Runners) -> bool:
        """Return whether one of these runners, which has not reported yet, would replace one that works."""
        with self._lock:
            before = self._runners
        return any(
            not runner.has_reported.is_set()
            and key in before
            and before[key].has_reported.is_set()
            and not before[key].broken
            for key, runner in runners.items()
        )

    def code_jobs(self, runners: Runners | None = None) -> dict[str, Sequence[CodeJob]]:
        """
        Return the jobs that these runners, or those in use, have reported from their application's code; by
        application.
        """
        with self._lock:
            runners = self._runners if runners is None else runners
        channels = {
            key.app: runner.channel for key, runner in runners.items() if key.isolate is Isolate.THREAD
        }
        return {
            app: channel.code_jobs
            for app, channel in channels.items()
            if app and channel.code_jobs is not None
        }

    def wait_for_reports(self, runners: Runners, timeout_s: float) -> bool:
        """
        Wait at most this long; return whether each runner has reported its jobs, or that its application does
        not work.
        """
        until_ns = self._clock.monotonic_ns() + round(timeout_s * SECOND)
        return all(
            runner.has_reported.wait(max(until_ns - self._clock.monotonic_ns(), 0) / SECOND)
            for runner in runners.values()
        )

    def _start_all(self, started: Runners, apps: Mapping[RunnerKey, App | None], folder: str) -> Runners:
        """Start a runner for each of these applications, or none; return them together with `started`."""
        runners = dict(started)
        try:
            for key, app in apps.items():
                runners[key] = self._start(key, app, folder)
        except BaseException:
            self.discard({key: runner for key, runner in runners.items() if key in apps})
            raise
        return runners

    def start_extra(self, key: RunnerKey) -> Runner:
        """
        Start one more runner of an application, besides the one in use; the caller retires it.

        Raises:
            CannotRender: the application is no longer in the jobs file.
            OSError: there is no memory, or no descriptor, for the runner.
        """
        with self._lock:
            apps, folder = self._apps, self._folder
        if key.app is not None and key.app not in apps:
            raise CannotRender(f"the application {key.app} is in the jobs file no more")
        runner = self._start(key, apps[key.app] if key.app else None, folder, on_code_jobs=lambda: None)
        with self._lock:
            self._retired = [*(retired for retired in self._retired if not retired.is_over), runner]
        return runner

    def _start(
        self, key: RunnerKey, app: App | None, folder: str, on_code_jobs: Callable[[], None] | None = None
    ) -> Runner:
        isolates, on_code_jobs = key.isolate is Isolate.PROCESS, on_code_jobs or self._on_code_jobs
        channel = RunnerChannel(
            app,
            folder=folder,
            host=self._host,
            start_table=StartTable.make(),
            isolates=isolates,
            on_code_jobs=on_code_jobs,
        )
        runner = Supervisor(channel, clock=self._clock, on_request=self._job_requests.put)
        runner.on_worn_out = partial(self._renew, key, app, folder, runner)
        try:
            runner.start()
        except RuntimeError as error:
            channel.close()
            raise OSError(f"there is no thread for it: {error}") from error
        return runner

    def _renew(self, key: RunnerKey, app: App | None, folder: str, spent: Runner) -> None:
        """Put a fresh runner into use; the spent one ends with its last job."""
        with self._lock:
            is_in_use = self._runners.get(key) is spent
        if not is_in_use:
            return
        log.warning("a runner is worn out, a fresh one takes what comes", executor=spent.name)
        try:
            fresh = self._start(key, app, folder)
        except OSError as error:
            log.error("a fresh runner cannot be started", executor=spent.name, error=str(error))
            return
        with self._lock:
            is_in_use = self._runners.get(key) is spent
            if is_in_use:
                self._runners = {**self._runners, key: fresh}
            self._retired.append(spent if is_in_use else fresh)
        (spent if is_in_use else fresh).retire()

    def executor_for(self, target: Target) -> Supervisor[Channel]:
        """
        Return the executor for a target.

        Raises:
            CannotRender: its application is no longer in the jobs file.
        """
        return self._lanes if isinstance(target, HttpTarget) else self.runner(runner_of(target))

    def runner(self, key: RunnerKey) -> Runner:
        """
        Return the runner of an application.

        Raises:
            CannotRender: its application is no longer in the jobs file.
        """
        with self._lock:
            runner = self._runners.get(key)
        if runner is None:
            raise CannotRender(
                "its application is in the jobs file no more",
                hint="the next start of the job is by the new file",
            )
        return runner

    def problems(self) -> list[str]:
        """Return the applications in use that do not work, each with the reason."""
        with self._lock:
            runners = list(self._runners.items())
        reasons = {(key.app, runner.broken): None for key, runner in runners if runner.broken}
        return [f"the application {app} does not work: {reason}" for app, reason in reasons]

    def is_well(self) -> bool:
        """
        Whether the lanes work. An application that does not import, or hangs, affects its own jobs alone.
        """
        with self._lock:
            runners = [*self._runners.values(), *self._retired]
        for runner in runners:
            runner.is_well()  # this replaces one that hangs
        return self._lanes.is_well()

    def kill(self) -> None:
        """Kill all executors, with what their jobs have forked; returns at once."""
        for supervisor in self._all:
            supervisor.kill()

    def stop(self) -> None:
        """End all executors, with what they still run."""
        self.kill()
        for supervisor in self._all:
            supervisor.stop()

    @property
    def _all(self) -> Sequence[Supervisor[Channel]]:
        with self._lock:
            return [self._lanes, *self._runners.values(), *self._retired]


def _place_of(key: RunnerKey) -> str:
    """Return where in the jobs file a runner comes from, for people."""
    return f"apps.{key.app}" if key.app else "functions without an application"
