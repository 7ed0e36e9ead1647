"""All executors of this process: the lanes, and a runner for each application that jobs need."""

import resource
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import structlog

from scheduler.clock import Clock
from scheduler.daemon.channels import Lanes, Runner
from scheduler.daemon.handovers import Handovers
from scheduler.daemon.render import CannotRender
from scheduler.daemon.supervisor import Supervisor
from scheduler.executors.python.board import Board
from scheduler.instants import SECOND
from scheduler.model.code import CodeJob
from scheduler.model.definitions import App, Definitions
from scheduler.model.job import HttpTarget, Isolate, Job, RunnerKey, Target, runner_of

log = structlog.get_logger()

#: The runner of each application that is imported, or of functions that need none.
Runners = Mapping[RunnerKey, Supervisor]


class Executors:
    """
    Thread-safe. Runners of earlier definitions end once they have nothing left to do.

    Args:
        handovers: Takes the requests of jobs.
        heard: Called when a runner has reported which jobs its application's code defines.
    """

    def __init__(self, clock: Clock, *, handovers: Handovers, heard: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._handovers = handovers
        self._heard = heard
        self._host = socket.gethostname()
        self._lanes = Supervisor(Lanes(self._host), clock=clock)
        self._lock = threading.Lock()
        self._runners: Runners = {}
        self._retired: list[Supervisor] = []  #: also runners for a single use
        self._apps: Mapping[str, App] = {}
        self._folder = ""

    def start(self, definitions: Definitions, jobs: Iterable[Job], fresh: Runners | None = None) -> None:
        """
        Start what these jobs need. Runners import their applications meanwhile.

        Args:
            fresh: Runners that have been started already.

        Raises:
            TminusError: the lanes do not start.
        """
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold secrets, a runner's, too
        self._lanes.start()
        self.adopt(definitions, self.complete(definitions, fresh or {}, jobs))
        self._lanes.wait_until_ready()

    def fresh(self, apps: Iterable[App], folder: str) -> Runners:
        """
        Start runners that import these applications anew. `adopt` puts them into use; until then `discard` ends them.

        Raises:
            OSError: one of them cannot be started, for example because there is no descriptor; none of them runs then.
        """
        return self._all_of({}, {RunnerKey(app.name): app for app in apps}, folder)

    def complete(self, definitions: Definitions, having: Runners | None, jobs: Iterable[Job] | None = None) -> Runners:
        """
        Return all runners that these definitions need; start those that are missing. Nothing is put into use yet.

        Args:
            having: Runners that have been started; None for those in use.
            jobs: The jobs that are to run; None for all.

        Raises:
            OSError: as for `fresh`; what was started before runs on.
        """
        with self._lock:
            having = self._runners if having is None else having
        keys = dict.fromkeys(key for job in jobs or definitions.jobs.values() for key in job.runners if key not in having)
        return self._all_of(having, {key: definitions.apps[key.app] if key.app else None for key in keys}, definitions.folder)

    def discard(self, runners: Runners) -> None:
        """End these runners, except those in use. They have nothing to do."""
        with self._lock:
            unused = [runner for key, runner in runners.items() if self._runners.get(key) is not runner]
            unused = [runner for runner in unused if runner not in self._retired]
        for runner in unused:
            runner.kill()
        for runner in unused:
            runner.stop()

    def adopt(self, definitions: Definitions, runners: Runners) -> None:
        """Use these runners from now on. The others end once they have nothing left to do."""
        with self._lock:
            self._apps, self._folder = definitions.apps, definitions.folder
            before = self._runners
            # One that has worn out since these were chosen has been replaced, and ends.
            runners = {key: before.get(key, one) if one in self._retired else one for key, one in runners.items()}
            self._runners = runners
            gone = [runner for key, runner in before.items() if runners.get(key) is not runner]
            self._retired = [*(runner for runner in self._retired if not runner.is_over), *gone]
        for runner in gone:
            runner.retire()

    def why_not(self, runners: Runners) -> str:
        """Return why these cannot replace those in use: one does not work, and its predecessor does. Empty if they can."""
        with self._lock:
            before = self._runners
        for key, runner in runners.items():
            old = before.get(key)
            if runner.broken and not (old and old.broken):
                return f"{_place_of(key)}: {runner.broken}"
            if not runner.known.is_set() and old and old.known.is_set() and not old.broken:
                return f"{_place_of(key)}: it is still being imported"
        return ""

    def replace_working(self, runners: Runners) -> bool:
        """Whether one of these has not reported yet, and is to replace one that works."""
        with self._lock:
            before = self._runners
        return any(
            not runner.known.is_set() and key in before and before[key].known.is_set() and not before[key].broken
            for key, runner in runners.items()
        )

    def code(self, runners: Runners | None = None) -> dict[str, Sequence[CodeJob]]:
        """Return the jobs that these runners, or those in use, have reported from their application's code; by application."""
        with self._lock:
            runners = self._runners if runners is None else runners
        channels = {key.app: runner.channel for key, runner in runners.items() if key.isolate is Isolate.THREAD}
        return {
            app: channel.code
            for app, channel in channels.items()
            if app and isinstance(channel, Runner) and channel.code is not None
        }

    def have_spoken(self, runners: Runners, timeout_s: float) -> bool:
        """Wait at most this long; return whether each has reported its jobs, or that its application does not work."""
        until_ns = self._clock.monotonic_ns() + round(timeout_s * SECOND)
        return all(runner.known.wait(max(until_ns - self._clock.monotonic_ns(), 0) / SECOND) for runner in runners.values())

    def _all_of(self, having: Runners, apps: Mapping[RunnerKey, App | None], folder: str) -> Runners:
        runners = dict(having)
        try:
            for key, app in apps.items():
                runners[key] = self._start(key, app, folder)
        except BaseException:
            self.discard({key: runner for key, runner in runners.items() if key in apps})
            raise
        return runners

    def alone(self, key: RunnerKey) -> Supervisor:
        """
        Start a runner of an application beside the one in use; the caller retires it.

        Raises:
            CannotRender: the application is in the jobs file no more.
            OSError: there is no memory, or no descriptor, for it.
        """
        with self._lock:
            apps, folder = self._apps, self._folder
        if key.app is not None and key.app not in apps:
            raise CannotRender(f"the application {key.app} is in the jobs file no more")
        runner = self._start(key, apps[key.app] if key.app else None, folder, heard=lambda: None)
        with self._lock:
            self._retired = [*(one for one in self._retired if not one.is_over), runner]
        return runner

    def _start(self, key: RunnerKey, app: App | None, folder: str, heard: Callable[[], None] | None = None) -> Supervisor:
        isolates, heard = key.isolate is Isolate.PROCESS, heard or self._heard
        channel = Runner(app, folder=folder, host=self._host, board=Board.make(), isolates=isolates, heard=heard)
        runner = Supervisor(channel, clock=self._clock, asked=self._handovers.put)
        runner.spent = partial(self._renew, key, app, folder)
        try:
            runner.start()
        except RuntimeError as error:
            channel.close()
            raise OSError(f"there is no thread for it: {error}") from error
        return runner

    def _renew(self, key: RunnerKey, app: App | None, folder: str, spent: Supervisor) -> None:
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

    def of(self, target: Target) -> Supervisor:
        """
        Return the executor for a target.

        Raises:
            CannotRender: there is none any more.
        """
        return self._lanes if isinstance(target, HttpTarget) else self.runner(runner_of(target))

    def runner(self, key: RunnerKey) -> Supervisor:
        """
        Return the runner of an application.

        Raises:
            CannotRender: there is none any more.
        """
        with self._lock:
            runner = self._runners.get(key)
        if runner is None:
            raise CannotRender("its application is in the jobs file no more", hint="the next start of the job is by the new file")
        return runner

    def problems(self) -> list[str]:
        """Return the applications in use that do not work, each with the reason."""
        with self._lock:
            runners = list(self._runners.items())
        return list(dict.fromkeys(f"the application {key.app} does not work: {one.broken}" for key, one in runners if one.broken))

    def is_well(self) -> bool:
        """Whether the lanes work. An application that does not import, or hangs, affects its own jobs alone."""
        with self._lock:
            runners = [*self._runners.values(), *self._retired]
        for runner in runners:
            runner.is_well()  # this replaces one that hangs
        return self._lanes.is_well()

    def kill(self) -> None:
        """Kill them all, with what their jobs have forked; returns at once."""
        for supervisor in self._all:
            supervisor.kill()

    def stop(self) -> None:
        """End them all; what they still run is lost."""
        self.kill()
        for supervisor in self._all:
            supervisor.stop()

    @property
    def _all(self) -> Sequence[Supervisor]:
        with self._lock:
            return [self._lanes, *self._runners.values(), *self._retired]


def _place_of(key: RunnerKey) -> str:
    """Return where in the jobs file a runner comes from, for people."""
    return f"apps.{key.app}" if key.app else "functions without an application"
