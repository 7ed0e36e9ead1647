"""The beat: the checks of the daemon are pinged while it is well, and only then."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.daemon import eventually
from tests.support.new_ledgers import new_ledger
from tests.support.target import TargetServer
from tests.unit.jobsfile.jobs_text import TOP, load_text
from tminus.clock import SystemClock
from tminus.daemon.notifications.beat import Beat
from tminus.daemon.runtime import open_runtime


class Health:
    """Whether the daemon is well, and how often that was asked."""

    def __init__(self) -> None:
        self.is_well = False
        self._looks = threading.Semaphore(0)

    def look(self) -> bool:
        """As the beat asks."""
        self._looks.release()
        return self.is_well

    def wait_for_looks(self, count: int) -> None:
        """Wait until it was asked so often."""
        for _ in range(count):
            assert self._looks.acquire(timeout=240)


@contextmanager
def beating(folder: Path, health: Health, url: str) -> Iterator[Beat]:
    text = f"{TOP}daemon: {{notify: alive}}\nnotify: {{alive: {{healthchecks: '{url}'}}}}\n"
    definitions = load_text(folder, f"{text}jobs: {{a: {{schedule: manual, http: '{url}'}}}}\n").definitions
    assert definitions
    ledger = new_ledger(folder)
    with open_runtime(ledger, definitions, kind="daemon", clock=SystemClock()) as runtime:
        beat = Beat(runtime, is_well=health.look)
        beat.start()
        try:
            yield beat
        finally:
            beat.stop(240)
    ledger.close()


def test_a_daemon_that_is_not_well_is_silent(tmp_path: Path, target: TargetServer) -> None:
    health = Health()
    with beating(tmp_path, health, f"{target.url}/alive") as beat:
        health.wait_for_looks(3)
        assert target.arrivals == []
        health.is_well = True
        (ping,) = target.wait_for(1)
        assert (ping.method, ping.path) == ("POST", "/alive")
        assert beat.problems == []


def test_a_check_that_cannot_be_pinged_is_a_problem(tmp_path: Path, target: TargetServer) -> None:
    health = Health()
    health.is_well = True
    with beating(tmp_path, health, f"{target.url}/status/404") as beat:
        eventually(lambda: beat.problems, what="the problem")
        assert beat.problems == ["the daemon's check alive cannot be pinged: the server answered 404"]
