"""
A real-time priority around T. Without it, the kernel may give the core to other processes.

Source: sched(7). Linux applies `sched_setscheduler(0, …)` to the calling thread. Use this for the release
only.
"""

import contextlib
import os

#: The lowest one, for the thread that holds Python jobs. It is above all threads without such a priority.
HOLDING = 1
#: For lanes, so that Python jobs do not delay requests.
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
    """Keep the calling thread from interrupting others when it wakes up; `lower_priority` undoes this."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def is_allowed(level: int) -> bool:
    """Return whether this real-time priority is allowed here."""
    allowed = raise_priority(level)
    lower_priority()
    return allowed
