"""Messages to systemd, as far as a test without a daemon shows them."""

import contextlib
import socket
import time
from pathlib import Path

import pytest

from tminus.daemon import systemd


@pytest.mark.parametrize("name", ["{}/notify", "@tminus-{}"])
def test_a_manager_receives_all_lines_in_one_message(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = name.format(tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address.replace("@", "\0"))
        systemd.notify("READY=1", "STATUS=all is well")
        assert manager.recv(99) == b"READY=1\nSTATUS=all is well"


def test_a_manager_that_reads_nothing_is_waited_for_without_using_a_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other,
    ):
        manager.bind(address)
        other.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                other.sendto(b"X=1", address)
        began, used = time.monotonic(), time.thread_time()
        systemd.notify("WATCHDOG=1")
        assert time.thread_time() - used < (time.monotonic() - began) / 10
