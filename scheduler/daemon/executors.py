"""All executors of this process: the lanes, and a runner for each application that jobs need."""

import socket
import threading
from collections.abc import Iterable
from pathlib import Path

from scheduler.clock import Clock
from scheduler.daemon.channels import Lanes, Runner
from scheduler.daemon.render import CannotRender
from scheduler.daemon.supervisor import Supervisor
from scheduler.executors.python.board import Board
from scheduler.model.definitions import Definitions
from scheduler.model.job import HttpTarget, Isolate, Job, RunnerKey, Target, runner_of


class Executors:
    """Thread-safe. Those of an earlier version of the definitions end once they have nothing left to do."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._host = socket.gethostname()
        self._lanes = Supervisor(Lanes(self._host), clock=clock)
        self._lock = threading.Lock()
        self._runners: dict[RunnerKey, Supervisor] = {}
        self._retired: list[Supervisor] = []

    def start(self, definitions: Definitions, jobs: Iterable[Job]) -> None:
        """
        Start what these jobs need. Runners import their applications meanwhile.

        Raises:
            TminusError: the lanes do not start.
        """
        self._lanes.start()
        self.adopt(definitions, jobs)
        self._lanes.wait_until_ready()

    def adopt(self, definitions: Definitions, jobs: Iterable[Job]) -> None:
        """Fresh runners for these jobs: an application is imported anew."""
        folder = str(Path(definitions.paths[0]).resolve().parent)
        runners: dict[RunnerKey, Supervisor] = {}
        for key in dict.fromkeys(key for job in jobs for key in job.runners):
            app = definitions.apps[key.app] if key.app else None
            isolates = key.isolate is Isolate.PROCESS
            channel = Runner(app, folder=folder, host=self._host, board=Board.make(), isolates=isolates)
            runner = runners[key] = Supervisor(channel, clock=self._clock)
            runner.start()
        with self._lock:
            before, self._runners = list(self._runners.values()), runners
            self._retired = [*(runner for runner in self._retired if not runner.is_over), *before]
        for runner in before:
            runner.retire()

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

    def is_well(self) -> bool:
        """Whether the lanes are there. An application that does not import is its jobs' trouble alone."""
        return self._lanes.is_well()

    def stop(self) -> None:
        """End them all; what they still run is lost."""
        with self._lock:
            runners = [*self._runners.values(), *self._retired]
        for supervisor in (self._lanes, *runners):
            supervisor.stop()
