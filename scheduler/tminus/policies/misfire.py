"""Misfire: how late is too late."""


def latest_start_ns(*, planned_at_ns: int, grace_ns: int) -> int:
    """Return the last instant at which an occurrence may start."""
    return planned_at_ns + grace_ns


def is_misfire(*, now_ns: int, latest_start_ns: int) -> bool:
    """Return whether an occurrence that would start now is later than its grace time allows."""
    return now_ns > latest_start_ns


def last_misfire_ns(*, now_ns: int, grace_ns: int) -> int:
    """Return the last fire time that would be a misfire if it started now."""
    return now_ns - grace_ns - 1
