"""Misfire: how late is too late."""


def is_misfire(*, planned_at_ns: int, now_ns: int, grace_ns: int) -> bool:
    """Return whether an occurrence that would start now is later than its grace time allows."""
    return now_ns - planned_at_ns > grace_ns
