"""The trigger for APScheduler: the fire times of a schedule, each earlier by a constant lead."""

from datetime import datetime

from apscheduler.triggers.base import BaseTrigger

from tminus.instants import to_datetime, to_ns
from tminus.model.job import Schedule
from tminus.schedule.fire_times import after

#: APScheduler counts in microseconds.
TICK_NS = 1_000


class ScheduleTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """
    Yields run times: fire times minus the lead, as aware datetimes in UTC. No jitter; cannot be pickled.

    A run time is cut to its microsecond. Cron expressions and intervals have no shorter parts (the shortest
    interval is 1 ms), `at` may have. APScheduler sees one run time for all fire times within a microsecond.

    Args:
        schedule: The schedule of the job.
        lead_ns: How long before its fire time a job is due in APScheduler: one constant for all triggers of
            a scheduler, whole microseconds, not negative.
        after_ns: The planner has decided all fire times up to here. The first one that is yielded comes
            after it.

    Raises:
        ValueError: the lead is negative, or not a whole number of microseconds.

    Thread-safety:
        Safe: nothing changes.
    """

    __slots__ = ("_after_ns", "_lead_ns", "_schedule")

    def __init__(self, schedule: Schedule, *, lead_ns: int, after_ns: int) -> None:
        if lead_ns < 0 or lead_ns % TICK_NS:
            raise ValueError(f"a lead is a whole number of microseconds, not {lead_ns} ns")
        self._schedule = schedule
        self._lead_ns = lead_ns
        self._after_ns = after_ns

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """
        Return the first run time after the previous one; None if there is none.

        After a stop of the machine or a step of the clock, hours of fire times may be past. APScheduler would
        make a list of them all. The trigger yields the first of them and leaves out the others: the planner
        finds those by itself.

        Source:
            apscheduler.triggers.base.BaseTrigger.get_next_fire_time, which calls run times fire times.
        """
        start_ns = self._after_ns
        if previous_fire_time is not None:
            # A fire time may be up to one tick after its run time plus the lead.
            start_ns = max(to_ns(previous_fire_time) + self._lead_ns + TICK_NS - 1, to_ns(now))
        fire_time_ns = after(self._schedule, start_ns)
        return None if fire_time_ns is None else to_datetime(fire_time_ns - self._lead_ns)

    def __repr__(self) -> str:
        return f"<ScheduleTrigger {self._schedule} lead={self._lead_ns}ns after={self._after_ns}>"
