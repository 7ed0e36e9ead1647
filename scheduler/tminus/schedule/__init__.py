"""
Fire times: the instants at which a job is due by its schedule.

A schedule has parts: cron expressions, intervals and single instants. Other packages call `fire_times`, which
merges the parts. For a cron expression, `cron` knows the local times without any zone, `dst` the transitions
of a zone, and `spans` the stretches between them in which local time and UTC differ by a constant. So
nothing iterates minute by minute, and a year costs as little as a day. `cron_text` says which part of a text
is wrong. `limits` says at which times a fire time counts, by the windows and calendars of a schedule.

The rules are those of Debian's cron, tested against a copy of its loop. A gap runs the jobs with a fixed
time right after it, an overlap runs them once, and jobs with a star follow elapsed time. `dst` of a job
changes the first two.

After a stop, `overdue_fire_times` sorts the fire times without a row into missed, late and due ones.
`canonical` makes the text of a schedule in the ledger. `triggers` passes fire times to APScheduler. All
functions are pure: the time is an argument. An invalid text or zone raises ValueError or
ZoneInfoNotFoundError. Definitions never contain one, because the same functions check the jobs file.
"""
