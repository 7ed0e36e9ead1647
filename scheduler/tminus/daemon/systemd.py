"""
Reports to systemd: ready, reloading, stopping, alive. Without systemd nothing happens.

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

import contextlib
import os
import socket

from tminus.instants import SECOND

#: Time limit for one message. If the manager does not read it, it is dropped.
_SEND_TIMEOUT_S = 1.0
#: Longer than the longest wait between two calls of `starting`.
_EXTENSION_NS = 60 * SECOND


def notify(*lines: str) -> None:
    """Send some `NAME=value` lines. A manager that is missing, or does not read, is not an error."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(_SEND_TIMEOUT_S)
        # Without a connection, a full socket always counts as ready, and the wait is a busy loop.
        manager.connect(address)
        manager.send("\n".join(lines).encode())


def reloading(monotonic_ns: int) -> None:
    """
    Report that a reload begins; `READY=1` ends it.

    Args:
        monotonic_ns: The beginning, by CLOCK_MONOTONIC, as systemd compares it.
    """
    notify("RELOADING=1", f"MONOTONIC_USEC={monotonic_ns // 1000}")


def starting(status: str) -> None:
    """Report that the start takes longer and why. systemd then waits at least `_EXTENSION_NS` from now."""
    notify(f"EXTEND_TIMEOUT_USEC={_EXTENSION_NS // 1000}", f"STATUS={status}")


def watchdog_every_ns() -> int | None:
    """
    Return the interval between two signs of life, half of systemd's limit but at least 100 ms; None if
    systemd expects none.
    """
    limit, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not limit.isdecimal() or (pid and pid != str(os.getpid())):
        return None
    return max(int(limit) * 1000 // 2, SECOND // 10)
