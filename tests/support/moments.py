"""Waiting for an instant, where a test is about the time of day."""

import threading

from scheduler.clock import SystemClock


def wait_until(instant_ns: int) -> None:
    """Return when the wall clock shows it, or at once where that is past."""
    SystemClock().wait_until(instant_ns, threading.Event())
