"""
A real-time priority around T: the remaining cause of late starts is that the kernel gives the core to others.

Source: sched(7). Linux applies `sched_setscheduler(0, …)` to the calling thread. Use this for the release only.
"""

import contextlib
import os

#: The lowest, which is above all threads without one: for the thread that holds Python jobs.
HOLDING = 1
#: For lanes: Python jobs do not delay requests.
LANES = 2


def raise_priority(level: int) -> bool:
    """Give the calling thread a real-time priority; return False if that is not allowed."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(level))
    except (AttributeError, OSError):  # not Linux, or no CAP_SYS_NICE and too small a RLIMIT_RTPRIO
        return False
    return True


def lower_priority() -> None:
    """Take the real-time priority from the calling thread."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def give_way() -> None:
    """Have the calling thread interrupt no other when it wakes up; always allowed. `lower_priority` undoes it."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def is_allowed(level: int) -> bool:
    """Whether that real-time priority may be taken here."""
    allowed = raise_priority(level)
    lower_priority()
    return allowed
