"""
The guard judges the address that libcurl really connected to; nothing is sent to one that no job may reach.
"""

import pytest

from tests.support.executor import ExecutorProcess, a_request
from tests.support.target import TargetServer
from tminus.outcome import Cause

#: An address that the guard refuses and that every machine reaches: its own.
BLOCKED = "0.0.0.0"


@pytest.mark.parametrize("arming", ["run", "run_unarmed"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_blocked_address_gets_nothing(
    arming: str, method: str, executor: ExecutorProcess, target: TargetServer
) -> None:
    request = a_request(
        f"http://{BLOCKED}:{target.port}/", method=method, body=b"x" if method == "POST" else None
    )
    finished = getattr(executor, arming)([request])[0]
    assert (finished.cause, finished.detail) == (
        Cause.BLOCKED_ADDRESS,
        f"{BLOCKED} is an address that no job may reach",
    )
    assert (finished.started_ns, finished.armed, target.arrivals) == (0, False, [])


@pytest.mark.parametrize("host", ["0", "0x0", "[::ffff:0.0.0.0]"])
def test_another_way_to_write_it_does_not_help(
    host: str, executor: ExecutorProcess, target: TargetServer
) -> None:
    finished = executor.run([a_request(f"http://{host}:{target.port}/")])[0]
    assert finished.cause in (Cause.BLOCKED_ADDRESS, Cause.CONNECT)
    assert (finished.started_ns, target.arrivals) == (0, [])


@pytest.mark.parametrize("arming", ["run", "run_unarmed"])
def test_a_redirect_to_a_blocked_address_is_not_followed(
    arming: str, executor: ExecutorProcess, target: TargetServer
) -> None:
    url = f"{target.url}/redirect?to=http://{BLOCKED}:{target.port}/secret"
    finished = getattr(executor, arming)([a_request(url, follow=3)])[0]
    assert (finished.cause, finished.detail) == (
        Cause.BLOCKED_ADDRESS,
        f"{BLOCKED} is an address that no job may reach",
    )
    assert (finished.status, len(target.arrivals)) == (302, 1)


def test_the_clouds_metadata_service_is_never_asked(executor: ExecutorProcess) -> None:
    finished = executor.run_unarmed([a_request("http://169.254.169.254/latest/meta-data/", connect_ms=500)])[
        0
    ]
    assert finished.cause in (Cause.BLOCKED_ADDRESS, Cause.CONNECT)
    assert finished.started_ns == 0
