"""Jitter: how long after its fire time an occurrence is to start."""

import hashlib
from collections.abc import Callable

from tminus.instants import MS


def jittered(job: str, jitter_ns: int) -> Callable[[int], int]:
    """
    Return the function from a fire time of a job to its planned start, which is less than `jitter_ns` later,
    by whole milliseconds. A hash of job and fire time chooses the delay, so each process has the same one.
    """

    def planned_at_ns(fire_time_ns: int) -> int:
        digest = hashlib.sha256(f"{job}@{fire_time_ns}".encode()).digest()
        delay_ns = int.from_bytes(digest[:8]) * jitter_ns // 2**64
        return fire_time_ns + delay_ns // MS * MS

    return planned_at_ns if jitter_ns else lambda fire_time_ns: fire_time_ns
