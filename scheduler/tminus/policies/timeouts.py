"""
Timeouts: how long each part of an attempt may take, counted from the start of the attempt, never from arming.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Nanoseconds each."""

    connect_ns: int  #: until the connection is open, if it was not primed
    first_byte_ns: int  #: until the first byte of the response; 0 for no limit
    total_ns: int  #: until the last byte of the response, or the end of the function
    kill_after_ns: int  #: from a timeout until the process of an isolated job is killed
