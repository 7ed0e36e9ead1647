"""Instants: waiting for one, and how far ahead one is chosen."""

import os
import threading

from scheduler.clock import SystemClock


def wait_until(instant_ns: int) -> None:
    """Return when the wall clock shows it, or at once where that is past."""
    SystemClock().wait_until(instant_ns, threading.Event())


def stretched(duration: float) -> int:
    """A time for preparations, in the same unit; longer on a machine that is busier than our own tests make it."""
    return round(duration * max(1.0, os.getloadavg()[0] / (3 * (os.cpu_count() or 1))))
