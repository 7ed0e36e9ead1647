"""Deadlines of an occurrence: `not_after` for its start, and `finish_by` for its end."""


def is_past(*, deadline_ns: int | None, now_ns: int) -> bool:
    """Return whether a deadline has passed; None is no deadline."""
    return deadline_ns is not None and now_ns > deadline_ns


def is_finish_late(*, finish_by_ns: int | None, finished_at_ns: int | None, now_ns: int) -> bool:
    """
    Return whether the finish of an occurrence is late: its `finish_by` has passed, and it had not finished by
    then.

    Args:
        finish_by_ns: The deadline; None for no deadline.
        finished_at_ns: When it has finished; None if it has not.
        now_ns: Wall clock.
    """
    return is_past(deadline_ns=finish_by_ns, now_ns=now_ns if finished_at_ns is None else finished_at_ns)
