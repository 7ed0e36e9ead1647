"""
A daemon publishes which ledger it uses for its jobs file: no command runs the same jobs beside it on another
one.
"""

import os
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.support.daemon import DaemonProcess, daemon, tminus
from tests.support.jobs import job, jobs_file
from tests.support.moments import PATIENCE_S
from tests.support.target import TargetServer
from tminus.ledger.urls import parse_url
from tminus.operations.published_ledger import Publication, _names, published


@pytest.fixture
def running(tmp_path: Path, target: TargetServer) -> Iterator[DaemonProcess]:
    """A daemon with a job to run by hand."""
    with daemon(tmp_path, jobs_file(job("pay", f"{target.url}/ok", "manual"))) as running:
        yield running


def elsewhere(running: DaemonProcess, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command with the same jobs file, by another path, and a ledger of its own."""
    path = running.folder / "." / "link.yaml"
    if not path.exists():
        path.symlink_to(running.jobs_file)
    return tminus("-c", str(path), "--ledger", f"sqlite:///{running.folder}/other/ledger.db", *arguments)


def test_a_command_with_another_ledger_runs_nothing_beside_the_daemon(
    running: DaemonProcess, target: TargetServer
) -> None:
    assert running.process
    said = elsewhere(running, "run-now", "pay")
    assert said.returncode == 3
    ledger = f"sqlite:///{running.folder}/ledger/ledger.db"
    assert f"the daemon with pid {running.process.pid} runs the jobs of" in said.stderr
    assert f"on another ledger: {ledger}" in said.stderr
    assert f"hint: ask it with --ledger {ledger}" in said.stderr
    assert not (running.folder / "other").exists()

    left = elsewhere(running, "run-now", "pay", "--no-wait")
    assert (left.returncode, f"on another ledger: {ledger}" in left.stderr) == (0, True)
    assert elsewhere(running, "run-now", "pay").returncode == 3
    assert target.arrivals == []

    assert tminus("-c", str(running.jobs_file), "--ledger", ledger, "run-now", "pay").returncode == 0
    running.signal(signal.SIGKILL)
    running.wait()
    assert elsewhere(running, "run-now", "pay").returncode == 0
    assert len(target.arrivals) == 2


def test_a_daemon_that_does_not_answer_is_not_passed_over(
    running: DaemonProcess, target: TargetServer
) -> None:
    running.suspend()
    try:
        # Its connections wait to be accepted, and nobody answers them.
        said = elsewhere(running, "run-now", "pay")
    finally:
        running.signal(signal.SIGCONT)
    assert (said.returncode, "does not say on which ledger" in said.stderr) == (3, True)
    assert target.arrivals == []


def test_ledgers_of_several_daemons_are_found(tmp_path: Path) -> None:
    file = tmp_path / "jobs.yaml"
    file.touch()
    urls = [parse_url(f"sqlite:///{tmp_path}/{name}.db") for name in ("one", "two")]
    publications = [Publication(str(file), url) for url in urls]
    assert [(one.pid, one.ledger, one.is_trusted) for one in published(str(file))] == [
        (os.getpid(), f"sqlite:///{tmp_path}/{name}.db", True) for name in ("one", "two")
    ]
    for publication in publications:
        publication.close()
    assert list(published(str(file))) == []


def test_a_password_is_not_published(tmp_path: Path) -> None:
    file = tmp_path / "jobs.yaml"
    file.touch()
    publication = Publication(str(file), parse_url("postgresql+psycopg://me:secret@host/name"))
    assert [one.ledger for one in published(str(file))] == ["postgresql+psycopg://me:***@host/name"]
    publication.close()


@pytest.mark.parametrize("answer", [b"", b"[", b"7", b'{"ledger": 7}'])
def test_an_answer_that_makes_no_sense_names_no_ledger(tmp_path: Path, answer: bytes) -> None:
    file = tmp_path / "jobs.yaml"
    file.touch()
    with socket.socket(socket.AF_UNIX) as stranger, ThreadPoolExecutor(1) as pool:
        stranger.bind(next(_names(str(file))))
        stranger.listen()
        found = pool.submit(lambda: [one.ledger for one in published(str(file))])
        client, _ = stranger.accept()
        client.sendall(answer)
        client.close()
        assert found.result(PATIENCE_S) == [None]


def test_a_ledger_is_published_again_when_descriptors_are_free_again(tmp_path: Path) -> None:
    url, file = f"sqlite:///{tmp_path}/ledger.db", str(tmp_path / "jobs.yaml")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with (
        closing(Publication(file, parse_url(url))),
        closing(socket.socket(socket.AF_UNIX)) as first,
        socket.socket(socket.AF_UNIX) as second,
    ):
        second.settimeout(PATIENCE_S)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1, limits[1]))
        try:
            first.connect(next(_names(file)))  # the descriptor for this one may have been taken before
            first.settimeout(1)
            with suppress(TimeoutError):  # or it was not: then this one is not answered either
                while first.recv(1000):
                    pass
            second.connect(next(_names(file)))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert url in second.recv(1000).decode()
