"""A daemon that the tests of a module share."""

from collections.abc import Iterator

import pytest

from tests.support.checker import violations
from tests.support.daemon import DaemonProcess, daemon, eventually
from tests.support.jobs import QUICK, job, jobs_file
from tests.support.target import TargetServer

_IDLE = jobs_file(job("idle", "http://127.0.0.1:1/", "manual"), daemon=QUICK)


@pytest.fixture(scope="module")
def _daemon_of_the_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with daemon(tmp_path_factory.mktemp("shared"), _IDLE) as running:
        yield running


@pytest.fixture
def shared(_daemon_of_the_module: DaemonProcess, target: TargetServer) -> Iterator[DaemonProcess]:
    """
    A daemon for tests that neither stop it nor need an environment: each one reloads a jobs file of its own. A job
    that stays paused has a name of its own. What has run is checked at the end.
    """
    running = _daemon_of_the_module
    if running.has_ended():  # the test before has failed
        running.start()
    running.forget()
    yield running
    target.release_held()
    running.reload(_IDLE)
    eventually(
        lambda: all(one["state"] == "finished" for one in running.occurrences()),
        what="all have ended",
        instead=lambda: "\n".join(map(str, running.occurrences())),
    )
    requests = [one for one in running.occurrences() if (one["executor"] or "http").startswith("http")]
    assert violations(requests, target.arrivals) == []
