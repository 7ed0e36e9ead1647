"""
A real-time priority for the moments around T: what is left of a late start is the kernel giving the core to others.

Source: sched(7). Linux applies `sched_setscheduler(0, …)` to the calling thread. Never for anything but the release.
"""

import contextlib
import os


def raise_priority() -> bool:
    """Give the calling thread the lowest real-time priority, which is above all others; False where that is not allowed."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(os.sched_get_priority_min(os.SCHED_FIFO)))
    except (AttributeError, OSError):  # not Linux, or no CAP_SYS_NICE and no RLIMIT_RTPRIO
        return False
    return True


def lower_priority() -> None:
    """Make the calling thread a thread like any other again."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def is_allowed() -> bool:
    """Whether a real-time priority may be taken here."""
    allowed = raise_priority()
    lower_priority()
    return allowed
