"""
A real-time priority for the moments around T: what is left of a late start is the kernel giving the core to others.

Source: sched(7). Linux applies `sched_setscheduler(0, …)` to the calling thread. Never for anything but the release.
"""

import contextlib
import os

#: The lowest, which is above all threads without one: for the thread that holds Python jobs.
HOLDING = 1
#: No request is later for them.
LANES = 2


def raise_priority(level: int) -> bool:
    """Give the calling thread a real-time priority; False where that is not allowed."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(level))
    except (AttributeError, OSError):  # not Linux, or no CAP_SYS_NICE and too small a RLIMIT_RTPRIO
        return False
    return True


def lower_priority() -> None:
    """Make the calling thread a thread like any other again."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def give_way() -> None:
    """Have the calling thread wake up behind others, not in their place; everybody may. `lower_priority` takes it back."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def is_allowed(level: int) -> bool:
    """Whether that real-time priority may be taken here."""
    allowed = raise_priority(level)
    lower_priority()
    return allowed
