"""The link that stands for a distance."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from bench.link import FAR, Link, NoLink

_CONNECT = f"""
import socket, time
began = time.monotonic()
print(socket.socket().connect_ex(("{FAR}", 9)), time.monotonic() - began)
"""


def test_a_round_trip_takes_twice_the_delay_and_nothing_of_the_link_is_left(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        try:
            link = stack.enter_context(Link(tmp_path, delay_ms=30))
        except NoLink as reason:
            pytest.skip(f"no network namespaces here: {reason}")
        done = subprocess.run(
            [*link.near, sys.executable, "-c", _CONNECT], capture_output=True, text=True, check=True
        )
    refused, took_s = done.stdout.split()
    assert int(refused) == 111  # nobody listens there, and the answer says so
    assert float(took_s) >= 0.06
    assert not Path(link.near[1].removeprefix("--net=")).exists()
