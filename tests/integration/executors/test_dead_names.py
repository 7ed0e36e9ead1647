"""A name server that does not answer for one name: all others are resolved, connected and started as ever."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.support.executor import FAR_NS, ExecutorProcess, a_request
from tests.support.target import TargetServer
from tminus.executors.http.resolver import THREADS
from tminus.outcome import Cause

#: Each process of the tests has its own.
_NAME_SERVER = ip_address("127.1.0.0") + os.getpid()
_OWN_NAMES = (
    'mount --bind "$0/resolv.conf" /etc/resolv.conf && mount --bind "$0/hosts" /etc/hosts && exec "$@"'
)


@pytest.fixture
def own_names(tmp_path: Path) -> Iterator[list[str]]:
    """What starts a process that knows `healthy.example`, and whose name server never answers."""
    (tmp_path / "hosts").write_text("127.0.0.1 localhost healthy.example\n")
    (tmp_path / "resolv.conf").write_text(f"nameserver {_NAME_SERVER}\noptions timeout:20 attempts:2\n")
    wrapper = ["unshare", "--mount", "sh", "-c", _OWN_NAMES, str(tmp_path)]
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as silent:
        try:
            silent.bind((str(_NAME_SERVER), 53))
            subprocess.run([*wrapper, "true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"names of its own need root: {error}")
        yield wrapper


def test_a_dead_name_keeps_no_other_request_from_being_primed(
    own_names: list[str], target: TargetServer
) -> None:
    dead = [a_request(f"http://dead.example:{port}/", port, total_ms=300) for port in range(1, THREADS + 5)]
    with ExecutorProcess(wrapper=own_names) as executor:
        far_ns = executor.clock.wall_ns() + FAR_NS
        first = executor.arm(dead, give_up_ns=far_ns)
        executor.arm([a_request(f"http://healthy.example:{target.port}/")], release_at_ns=far_ns)
        target.wait_for_connections(1)
        assert executor.wait_armed(first).armed == 0
        executor.release(first)
        assert {(finished.cause, finished.unknown) for finished in executor.collect(first).finished} == {
            (Cause.DNS, False)
        }


def test_many_requests_to_a_dead_name_keep_one_behind_them_from_nothing(
    own_names: list[str], target: TargetServer
) -> None:
    dead = [a_request(f"http://dead.example:{port}/", port) for port in range(1, 3001)]
    with ExecutorProcess(wrapper=own_names) as executor:
        executor.arm(
            [*dead, a_request(f"http://healthy.example:{target.port}/")],
            lanes=1,
            release_at_ns=executor.clock.wall_ns() + FAR_NS,
        )
        target.wait_for_connections(1)
