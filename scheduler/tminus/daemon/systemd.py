"""
Reports to systemd: ready, reloading, stopping, alive. Without systemd nothing happens.

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

import contextlib
import os
import socket

from tminus.instants import SECOND

#: A manager that does not read for this long is taken to be gone.
_LISTENS_S = 1.0
#: Longer than any step of the start that waits.
_EXTENSION_NS = 60 * SECOND


def notify(*lines: str) -> None:
    """Send some `NAME=value` lines. A manager that is missing, or does not read, is not an error."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        to.settimeout(_LISTENS_S)
        to.connect(address)  # without it, a full socket always counts as ready, and the wait is a busy loop
        to.send("\n".join(lines).encode())


def reloading(monotonic_ns: int) -> None:
    """Report that a reload begins; `READY=1` ends it. systemd compares the time with the same clock."""
    notify("RELOADING=1", f"MONOTONIC_USEC={monotonic_ns // 1000}")


def starting(status: str) -> None:
    """Report that the start takes longer and why: systemd's time limit for it begins again."""
    notify(f"EXTEND_TIMEOUT_USEC={_EXTENSION_NS // 1000}", f"STATUS={status}")


def watchdog_every_ns() -> int | None:
    """Return how often to send a sign of life, twice within systemd's limit; None if systemd expects none."""
    limit, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not limit.isdecimal() or (pid and pid != str(os.getpid())):
        return None
    return max(int(limit) * 1000 // 2, SECOND // 10)
