"""Times of day as deadlines of a fire time."""

from tminus.instants import SECOND
from tminus.model.job import Cron, Job
from tminus.outcome import Origin
from tminus.schedule.fire_times import after, last_between

#: A time of day comes back within this, also around a day that a zone has skipped.
_LONGEST_DAY_NS = 3 * 86_400 * SECOND


def deadline_ns(time_of_day: Cron | None, fire_time_ns: int) -> int | None:
    """
    Return the first instant with this time of day at or after a fire time; None for no time of day.

    That is on the same day, unless the fire time is later in the day.
    """
    return None if time_of_day is None else after((time_of_day,), fire_time_ns - 1)


def last_start_ns(job: Job, fire_time_ns: int, *, origin: Origin) -> int | None:
    """
    Return the last instant at which the `not_after` of a job lets an occurrence start; None for no limit. It
    limits what a schedule starts, not what a person or a chain starts.
    """
    return deadline_ns(job.not_after, fire_time_ns) if origin.is_by_schedule else None


def first_fire_time_ns(time_of_day: Cron | None, *, now_ns: int) -> int | None:
    """Return the first instant whose deadline has not passed; None for no time of day."""
    if time_of_day is None:
        return None
    last = last_between((time_of_day,), now_ns - _LONGEST_DAY_NS, now_ns - 1)
    return None if last is None else last + 1
