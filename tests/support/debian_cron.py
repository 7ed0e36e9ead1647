"""
The main loop of Debian's cron for one job: cron.c 3.0pl1-162, told again in Python.

It looks at the wall once a minute (once a second for a cron with seconds), reads the cron text by itself and
knows nothing of cronsim or of `tminus.schedule`.
"""

from calendar import monthrange
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
NAMES = {"sun": 0, "mon": 1, "fri": 5, "sat": 6}
EPOCH = date(1970, 1, 1)


def read(field: str, low: int, high: int) -> set[int]:
    """The values of one field; crontab(5)."""
    values = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        begin, end = (low, high) if span == "*" else (number(first), number(last or first))
        values |= set(range(begin, end + 1, int(step or 1)))
    return values


def number(text: str) -> int:
    return NAMES[text] if text in NAMES else int(text)


def day_rule(day_field: str, weekday_field: str) -> Callable[[date], bool]:
    """Whether a day matches: both fields if one begins with a star, else either."""

    def by_day(day: date) -> bool:
        last = monthrange(day.year, day.month)[1]
        if day_field.endswith("W") and day_field != "LW":  # Quartz; cron has none of L, LW and W
            month = [day.replace(day=number) for number in range(1, last + 1)]
            wanted = month[int(day_field[:-1]) - 1 :][:1]
            return any(
                day == min((one for one in month if one.weekday() < 5), key=lambda one: abs(one - target))
                for target in wanted
            )
        if day_field == "L":
            return day.day == last
        if day_field == "LW":
            return day.weekday() < 5 and all(
                (day + timedelta(n)).weekday() > 4 for n in range(1, last - day.day + 1)
            )
        return day.day in read(day_field, 1, 31)

    def by_weekday(day: date) -> bool:
        if weekday_field.endswith("L"):
            return (
                day.isoweekday() % 7 == number(weekday_field[:-1]) % 7
                and (day + timedelta(7)).month != day.month
            )
        if "#" in weekday_field:
            weekday, nth = weekday_field.split("#")
            return day.isoweekday() % 7 == number(weekday) % 7 and (day.day - 1) // 7 + 1 == int(nth)
        return day.isoweekday() % 7 in {value % 7 for value in read(weekday_field, 0, 7)}

    if day_field.startswith("*") or weekday_field.startswith("*"):
        return lambda day: by_day(day) and by_weekday(day)
    return lambda day: by_day(day) or by_weekday(day)


def local_rule(text: str) -> Callable[[int], bool]:
    """Whether a local second, counted from 1970-01-01T00:00 by the wall, matches."""
    *second_field, minute_field, hour_field, day_field, month_field, weekday_field = text.split()
    seconds = read(second_field[0], 0, 59) if second_field else {0}
    minutes, hours, months = read(minute_field, 0, 59), read(hour_field, 0, 23), read(month_field, 1, 12)
    day_matches = day_rule(day_field, weekday_field)

    @lru_cache
    def matches_day(number: int) -> bool:
        day = EPOCH + timedelta(number)
        return day.month in months and day_matches(day)

    def matches(local: int) -> bool:
        day, rest = divmod(local, DAY_S)
        return (
            rest // HOUR_S in hours
            and rest // 60 % 60 in minutes
            and rest % 60 in seconds
            and matches_day(day)
        )

    return matches


def cron_runs(text: str, zone: str, start_s: int, end_s: int) -> list[int]:
    """
    The seconds after `start_s`, up to `end_s`, at which cron runs a job; it was started 4 hours earlier.
    """
    step = 1 if len(text.split()) == 6 else MINUTE_S
    matches = local_rule(text)
    wild = any(field.startswith("*") for field in text.split()[-5:-3])
    ran = []
    virtual = None
    for now, local in walls(zone, (start_s - 4 * HOUR_S) // step * step, end_s, step):
        behind = step if virtual is None else local - virtual
        run = False
        if behind == step or behind > 3 * HOUR_S or behind <= -3 * HOUR_S:  # the common case, or a correction
            virtual = local
            run = matches(local)
        elif behind > 0:  # the clock was put forward: catch up
            run = wild and matches(local)
            while virtual is not None and virtual < local:
                virtual += step
                run = run or (not wild and matches(virtual))
        else:  # the clock was put back: wait until the wall has caught up
            run = wild and matches(local)
        if run and now > start_s:
            ran.append(now)
    return ran


@lru_cache(maxsize=64)
def walls(zone: str, start_s: int, end_s: int, step: int) -> list[tuple[int, int]]:
    """Each step with the local second that the wall shows."""
    place = ZoneInfo(zone)
    return [(now, now + offset(place, now)) for now in range(start_s, end_s + 1, step)]


def offset(zone: ZoneInfo, second: int) -> int:
    delta = datetime.fromtimestamp(second, zone).utcoffset()
    assert delta is not None
    return round(delta.total_seconds())


def changes(zone: str, year: int) -> Iterator[int]:
    """
    Full hours of that year of UTC within which the offset changes, or which begin with a change. Found by a
    look at each half day, and then at its hours.
    """
    place = ZoneInfo(zone)
    start, end = (round(datetime(y, 1, 1, tzinfo=UTC).timestamp()) for y in (year, year + 1))
    for half in range(start, end, DAY_S // 2):
        if offset(place, half - HOUR_S) != offset(place, half + DAY_S // 2 - HOUR_S):
            for hour in range(half, half + DAY_S // 2, HOUR_S):
                if offset(place, hour - HOUR_S) != offset(place, hour):
                    yield hour - HOUR_S
