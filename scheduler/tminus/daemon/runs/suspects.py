"""
Runners for suspects: background runs whose process has died. Each is called in a process of its own, so that
the next death shows its cause and affects no other run.
"""

from collections.abc import Container

from tminus.daemon.processes.executors import Executors, Runner
from tminus.model.job import RunnerKey

#: Runners of one application at a time: more than one, because a suspect may hang; few, because each imports
#: the application.
_MOST = 4


class Suspects:
    """The runners of suspects. Belongs to one thread."""

    def __init__(self, executors: Executors) -> None:
        self._executors = executors
        self._runners: dict[int, tuple[str, Runner]] = {}  #: by the row number of the run

    def room(self, app: str) -> int:
        """Return how many more runs of an application may be called now."""
        return _MOST - sum(name == app for name, _ in self._runners.values())

    def runner(self, app: str, number: int) -> Runner:
        """
        Start a runner for this run.

        Raises:
            CannotRender: its application is no longer in the jobs file.
            OSError: there is no memory, or no descriptor, for the runner.
        """
        runner = self._executors.start_extra(RunnerKey(app))
        self._runners[number] = app, runner
        return runner

    def release_all_but(self, running: Container[int]) -> None:
        """End the runners of all other runs."""
        for number in [number for number in self._runners if number not in running]:
            self._runners.pop(number)[1].retire()
