"""All executors of this process: the lanes, and a runner for each application that jobs need."""

import resource
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

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
    Thread-safe. Those of an earlier version of the definitions end once they have nothing left to do.

    Args:
        handovers: Takes what jobs hand over and share.
        heard: Called when a runner has said which jobs its application's code defines.
    """

    def __init__(self, clock: Clock, *, handovers: Handovers, heard: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._handovers = handovers
        self._heard = heard
        self._host = socket.gethostname()
        self._lanes = Supervisor(Lanes(self._host), clock=clock)
        self._lock = threading.Lock()
        self._runners: Runners = {}
        self._retired: list[Supervisor] = []  #: and those that are for one call alone
        self._apps: Mapping[str, App] = {}
        self._folder = ""

    def start(self, definitions: Definitions, jobs: Iterable[Job], fresh: Runners | None = None) -> None:
        """
        Start what these jobs need. Runners import their applications meanwhile.

        Args:
            fresh: Those that have been started already.

        Raises:
            TminusError: the lanes do not start.
        """
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold secrets, a runner's, too
        self._lanes.start()
        self.adopt(definitions, jobs, fresh or {})
        self._lanes.wait_until_ready()

    def fresh(self, apps: Iterable[App], folder: str) -> Runners:
        """Runners for these applications, each imported anew, that are nobody's yet: to `adopt`, or to `discard`."""
        return {(key := RunnerKey(app.name)): self._start(key, app, folder) for app in apps}

    def discard(self, runners: Runners) -> None:
        """End them; nobody has given them anything to do."""
        for runner in runners.values():
            runner.stop()

    def adopt(self, definitions: Definitions, jobs: Iterable[Job], having: Runners | None = None) -> None:
        """
        Take runners for these jobs.

        Args:
            having: Started before; what the jobs need besides is started now. None: those that are there.
        """
        folder = str(Path(definitions.paths[0]).resolve().parent)
        with self._lock:
            before = self._runners
        runners = dict(before if having is None else having)
        for key in dict.fromkeys(key for job in jobs for key in job.runners if key not in runners):
            runners[key] = self._start(key, definitions.apps[key.app] if key.app else None, folder)
        gone = [runner for key, runner in before.items() if runners.get(key) is not runner]
        with self._lock:
            self._apps, self._folder = definitions.apps, folder
            self._runners = runners
            self._retired = [*(runner for runner in self._retired if not runner.is_over), *gone]
        for runner in gone:
            runner.retire()

    def code(self, runners: Runners | None = None) -> dict[str, Sequence[CodeJob]]:
        """What these runners, or those in use, have said of the jobs in their application's code; by application."""
        with self._lock:
            runners = self._runners if runners is None else runners
        channels = {key.app: runner.channel for key, runner in runners.items() if key.isolate is Isolate.THREAD}
        return {
            app: channel.code
            for app, channel in channels.items()
            if app and isinstance(channel, Runner) and channel.code is not None
        }

    def has_spoken(self, runners: Runners, timeout_s: float) -> bool:
        """Whether each of them has said by then what it has to say, be it that its application does not import."""
        until_ns = self._clock.monotonic_ns() + round(timeout_s * SECOND)
        return all(
            runner.channel.has_spoken.wait(max(until_ns - self._clock.monotonic_ns(), 0) / SECOND)
            for runner in runners.values()
            if isinstance(runner.channel, Runner)
        )

    def alone(self, key: RunnerKey) -> Supervisor:
        """
        A fresh runner of an application, beside the one in use; to be retired by the caller.

        Raises:
            CannotRender: the application is in the jobs file no more.
            OSError: there is no memory, or no descriptor, for it.
        """
        with self._lock:
            apps, folder = self._apps, self._folder
        if key.app is None or key.app not in apps:
            raise CannotRender(f"the application {key.app} is in the jobs file no more")
        runner = self._start(key, apps[key.app], folder, heard=lambda: None)
        with self._lock:
            self._retired = [*(one for one in self._retired if not one.is_over), runner]
        return runner

    def _start(self, key: RunnerKey, app: App | None, folder: str, heard: Callable[[], None] | None = None) -> Supervisor:
        isolates, heard = key.isolate is Isolate.PROCESS, heard or self._heard
        channel = Runner(app, folder=folder, host=self._host, board=Board.make(), isolates=isolates, heard=heard)
        runner = Supervisor(channel, clock=self._clock, asked=self._handovers.put)
        runner.spent = partial(self._renew, key, app, folder)
        runner.start()
        return runner

    def _renew(self, key: RunnerKey, app: App | None, folder: str, spent: Supervisor) -> None:
        """Have a fresh runner take what comes; the spent one, in which threads do not end, ends with its last job."""
        with self._lock:
            is_in_use = self._runners.get(key) is spent
        if not is_in_use:
            return
        log.warning("threads do not end, a fresh runner takes what comes", executor=spent.name)
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
        Who runs that.

        Raises:
            CannotRender: nobody does any more.
        """
        return self._lanes if isinstance(target, HttpTarget) else self.runner(runner_of(target))

    def runner(self, key: RunnerKey) -> Supervisor:
        """
        The runner of an application.

        Raises:
            CannotRender: no job needs it any more.
        """
        with self._lock:
            runner = self._runners.get(key)
        if runner is None:
            raise CannotRender("its application is in the jobs file no more", hint="the next start of the job is by the new file")
        return runner

    def problems(self) -> list[str]:
        """The applications in use that do not work, each with the reason."""
        with self._lock:
            runners = list(self._runners.items())
        return list(dict.fromkeys(f"the application {key.app} does not work: {one.broken}" for key, one in runners if one.broken))

    def is_well(self) -> bool:
        """Whether the lanes are there. An application that does not import, or hangs, is its jobs' trouble alone."""
        with self._lock:
            runners = [*self._runners.values(), *self._retired]
        for runner in runners:
            runner.is_well()  # who writes to it, and waits, hears that it is replaced
        return self._lanes.is_well()

    def stop(self) -> None:
        """End them all; what they still run is lost."""
        with self._lock:
            runners = [*self._runners.values(), *self._retired]
        for supervisor in (self._lanes, *runners):
            supervisor.stop()
