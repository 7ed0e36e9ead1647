"""What the daemon reports to systemd: ready, a sign of life while all is well, reloading, stopping."""

import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import DaemonProcess, coming, daemon
from tests.support.jobs import job, jobs_file, many
from tests.support.moments import PATIENCE_S
from tests.support.postgres import a_schema_of_its_own, a_server_of_its_own
from tests.support.target import TargetServer
from tminus.ledger.urls import parse_url


class Manager:
    """A service manager that receives the messages of the daemon."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE_S)
        self._socket.bind(self.path)

    def hear(self, word: str) -> dict[str, str]:
        """Wait for a message with this word; return all of that message."""
        while True:
            lines = self._socket.recv(4096).decode().splitlines()
            if word in lines:
                return dict(line.split("=", 1) for line in lines)

    def fill(self) -> None:
        """Fill the socket, so that nobody can send more."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to, contextlib.suppress(BlockingIOError):
            to.setblocking(False)
            while True:
                to.sendto(b"X=1", self.path)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """A service manager that listens."""
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


@pytest.fixture
def running(tmp_path: Path, manager: Manager, target: TargetServer) -> Iterator[DaemonProcess]:
    """A daemon with a service manager, which expects a sign of life every second."""
    environment = {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "1000000"}
    with daemon(tmp_path, jobs_file(job("idle", target.url, "manual")), env=environment) as running:
        yield running


def test_ready_alive_reloading_and_stopping_in_that_order(running: DaemonProcess, manager: Manager) -> None:
    assert manager.hear("READY=1")["STATUS"] == "1 jobs, 0 running, 0 batches"
    manager.hear("WATCHDOG=1")
    running.signal(signal.SIGHUP)
    assert int(manager.hear("RELOADING=1")["MONOTONIC_USEC"]) > 0
    manager.hear("READY=1")
    running.signal(signal.SIGTERM)
    manager.hear("STOPPING=1")
    assert running.wait() == 0


def test_it_shows_that_it_lives_while_it_drains(
    running: DaemonProcess, manager: Manager, target: TargetServer
) -> None:
    held = many(2, f"{target.url}/hold", f"at: '{coming(2)}'", "timeout: {total: 10m}")
    running.reload(jobs_file(held, daemon="reload: sighup, shutdown_grace: 10m"))
    target.wait_for(2)
    running.signal(signal.SIGTERM)
    manager.hear("STOPPING=1")
    while not manager.hear("WATCHDOG=1")["STATUS"].endswith("2 running, 1 batches"):
        pass  # the requests have arrived before the daemon has heard that they left
    target.release_held()
    assert running.wait() == 0


def test_a_manager_that_is_not_there_is_no_error(tmp_path: Path, target: TargetServer) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "nobody"), "WATCHDOG_USEC": "1000000"}
    with daemon(tmp_path, jobs_file(job("idle", target.url, "manual")), env=environment) as running:
        assert running.stop() == 0


def test_a_service_manager_that_reads_nothing_does_not_delay_the_daemon(
    tmp_path: Path, manager: Manager, target: TargetServer
) -> None:
    manager.fill()
    environment = {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "1000000"}
    with daemon(tmp_path, jobs_file(job("tick", target.url, "every: 1s")), env=environment) as running:
        running.reload(jobs_file(job("tock", target.url, "every: 1s")))
        running.wait_for(job="tock", outcome="succeeded")
        running.assert_all_is_well(target, every_s=1)


def test_a_database_that_is_away_is_waited_for_before_it_is_ready(
    tmp_path: Path, manager: Manager, target: TargetServer
) -> None:
    with a_server_of_its_own() as server:
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        jobs = jobs_file(job("idle", target.url, "manual"))
        idle = DaemonProcess(tmp_path, jobs, ledger=url, env={"NOTIFY_SOCKET": manager.path})
        server.stop()
        try:
            idle.start(wait=False)
            said = manager.hear("STATUS=waiting for the database of the ledger")
            assert int(said["EXTEND_TIMEOUT_USEC"]) > 0
            assert idle.stop() == 0
            idle.start(wait=False)
            idle.wait_until_said("waiting for the database of the ledger", times=2)
            server.start()
            manager.hear("READY=1")
            assert idle.stop() == 0
        finally:
            idle.close()


def test_a_database_that_the_server_does_not_have_is_an_error_at_once(
    tmp_path: Path, target: TargetServer
) -> None:
    with a_schema_of_its_own() as url:
        wrong = parse_url(url).set(database="nowhere").render_as_string(hide_password=False)
        idle = DaemonProcess(tmp_path, jobs_file(job("idle", target.url, "manual")), ledger=wrong).start(
            wait=False
        )
        assert idle.wait() == 2
        assert 'database "nowhere" does not exist' in idle.log_file.read_text()
