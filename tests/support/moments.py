"""Instants and times: how long to wait, and how far ahead to choose a T."""

import os
from pathlib import Path

from tminus.clock import SystemClock

#: Only what never comes is waited for this long.
PATIENCE_S = 240.0


def wait_until(instant_ns: int) -> None:
    """Wait until the wall clock has reached this instant."""
    SystemClock().sleep_until(instant_ns)


def stretched(duration: float) -> int:
    """
    Return a time for preparations, in the same unit. It is longer on a machine that is busier than our own
    tests make it, by the mean of the last minute or right now.
    """
    minute, _, _, runnable, _ = Path("/proc/loadavg").read_text().split()
    load = max(float(minute), float(runnable.partition("/")[0]))
    return round(duration * max(1.0, load / (3 * (os.cpu_count() or 1))))
