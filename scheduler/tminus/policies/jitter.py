"""Jitter: how long after its fire time an occurrence is to start."""

import hashlib
from collections.abc import Callable

from tminus.instants import MS


def jittered(job: str, jitter_ns: int) -> Callable[[int], int]:
    """
    Return the function from a fire time of a job to its planned start, which is less than `jitter_ns` later,
    by whole milliseconds. It is the same in each process: a hash of job and fire time chooses it.
    """

    def planned_at_ns(fire_time_ns: int) -> int:
        chosen = hashlib.sha256(f"{job}@{fire_time_ns}".encode()).digest()[:8]
        return fire_time_ns + (int.from_bytes(chosen) * jitter_ns >> 64) // MS * MS

    return planned_at_ns if jitter_ns else lambda fire_time_ns: fire_time_ns
