"""
What the policies of a job make of the fire times that passed while no daemon ran, minute by minute.

It uses no code of the scheduler: it looks at each minute, and decides by the words of the documentation.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.waiting import SECOND

MINUTE = 60 * SECOND
_DAY = 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """
    The schedule and the policies of one job. Durations are seconds.

    Attributes:
        every: Minutes between two fire times, counted from 1970; 0 for the cron expression `*/7`.
        between: The first and the last minute of the day at which it may be due.
        excepted: The first and the last minute, since 1970, of the calendar that excepts it.
        not_after: A minute of the day.
    """

    every: int = 5
    coalesce: str = "latest"
    grace: int = 30
    window: int = 0
    most: int = 100
    overlap: str = "skip"
    jitter: int = 0
    between: tuple[int, int] | None = None
    excepted: tuple[int, int] | None = None
    not_after: int | None = None

    def as_job(self, url: str) -> dict[str, Any]:
        """Return the job as in the jobs file."""
        schedule: dict[str, Any] = {"every": f"{self.every}m"} if self.every else {"cron": "*/7 * * * *"}
        if self.jitter:
            schedule["jitter"] = f"{self.jitter}s"
        if self.between:
            schedule["between"] = "-".join(map(_clock, self.between))
        if self.excepted:
            schedule["except"] = ["freeze"]
        job = {
            "schedule": schedule,
            "http": url,
            "coalesce": self.coalesce,
            "misfire_grace_time": f"{self.grace}s",
            "catchup_window": f"{self.window}s",
            "max_catchup": self.most,
            "overlap": self.overlap,
        }
        return job if self.not_after is None else {**job, "not_after": _clock(self.not_after)}

    @property
    def name(self) -> str:
        """The policies that count here, for the table: coalesce, and what lets fire times run."""
        limits = ["catch-up" if self.window > self.grace else "grace only"]
        limits += ["not_after"] * (self.not_after is not None) + ["jitter"] * bool(self.jitter)
        return ", ".join([self.coalesce, *limits])


@dataclass(frozen=True, slots=True)
class Decision:
    """
    What becomes of the fire times of a job, each a minute since 1970.

    Attributes:
        runs: Those that run.
        skipped: Those that are coalesced into one that runs.
        missed: Those that are too late.
    """

    runs: frozenset[int] = frozenset()
    skipped: frozenset[int] = frozenset()
    missed: frozenset[int] = field(default=frozenset())


def some(seed: int, count: int, *, now_ns: int) -> dict[str, Policies]:
    """Return jobs with policies of every kind, chosen by the seed; clock times are around that instant."""
    chance, minute = random.Random(seed), now_ns // MINUTE
    every = {
        "every": [1, 2, 5, 5, 10, 15, 0, 0],
        "coalesce": ["earliest", "latest", "all"],
        "grace": [1, 30, 600],
        "window": [0, 0, 600, 1800, 7200],
        "most": [1, 3, 100],
        "overlap": ["skip", "buffer_one", "buffer_all", "cancel_other", "allow_all"],
        "jitter": [0, 0, 0, 40],
        "between": [None, None, None, ((minute - 50) % _DAY, (minute + 120) % _DAY)],
        "excepted": [None, None, None, (minute - 40, minute - 20)],
        "not_after": [None, None, None, (minute - 15) % _DAY, (minute + 120) % _DAY],
    }
    return {
        f"job_{index:03}": Policies(**{name: chance.choice(values) for name, values in every.items()})  # type: ignore[arg-type]
        for index in range(count)
    }


def calendar(jobs: Mapping[str, Policies]) -> dict[str, Any]:
    """Return the calendars of the jobs file."""
    first, last = next(job.excepted for job in jobs.values() if job.excepted)
    return {"freeze": {"ranges": [{"from": _local(first), "to": _local(last)}]}}


def fire_times(job: Policies, first: int, last: int) -> Iterator[int]:
    """Yield the fire times from one minute to another one, both included."""
    for minute in range(first, last + 1):
        of_day, of_hour = minute % _DAY, minute % 60
        is_due = of_hour % 7 == 0 if not job.every else minute % job.every == 0
        if job.between:
            start, end = job.between
            is_due &= start <= of_day <= end if start <= end else of_day >= start or of_day <= end
        if job.excepted:
            is_due &= not job.excepted[0] <= minute <= job.excepted[1]
        if is_due:
            yield minute


def decide(job: Policies, due: Sequence[int], *, planned_ns: Mapping[int, int], now_ns: int) -> Decision:
    """
    Decide fire times that have passed by a start.

    Args:
        due: The fire times, ascending.
        planned_ns: The planned start of each.
        now_ns: When it is decided.
    """
    back_ns = max(job.grace, job.window) * SECOND
    late = [one for one in due if now_ns - planned_ns[one] <= back_ns and not _is_over(job, one, now_ns)]
    match job.coalesce:
        case "all":
            runs = late[-job.most :]
        case "earliest":
            runs = late[:1]
        case _:
            runs = late[-1:]
    skipped = frozenset(late) - set(runs) if job.coalesce != "all" else frozenset[int]()
    return Decision(frozenset(runs), skipped, frozenset(due) - set(runs) - skipped)


def _is_over(job: Policies, fire_time: int, now_ns: int) -> bool:
    """Return whether its `not_after` has passed: on the day of the fire time, or on the next one."""
    if job.not_after is None:
        return False
    last = fire_time - fire_time % _DAY + job.not_after
    return now_ns > (last if last >= fire_time else last + _DAY) * MINUTE


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _local(minute: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M")


def describe(job: Policies) -> str:
    """Return the policies of a job for a violation."""
    return " ".join(f"{name}={value}" for name, value in asdict(job).items() if value is not None)
