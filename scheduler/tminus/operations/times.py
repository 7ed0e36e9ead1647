"""
Times as people write them: RFC 3339, `now`, `+90s`, `-90s`, `11:30`. Without an offset, in the file's zone.
"""

import contextlib
import re
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from tminus.errors import UsageError, quoted
from tminus.instants import LATEST_NS, duration_ns, parse_rfc3339, to_datetime, to_ns

_LOCAL = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DAYS_AGO = {"today": 0, "yesterday": 1}
_CLOCK = re.compile(r"(\d\d):(\d\d)(?::(\d\d))?")


def parse_time(text: str, *, zone: ZoneInfo, now_ns: int, is_past: bool = False) -> int:
    """
    Return an instant, as nanoseconds since the Unix epoch.

    Args:
        text: As written.
        zone: The zone of times without an offset.
        now_ns: Wall clock.
        is_past: Whether `11:30` is the last one, not the next one. Then a date, `yesterday`, `today` and `1d`
            are times, too.

    Raises:
        UsageError: the text is not a time.
    """
    instant_ns = _parsed(text, zone, now_ns, is_past=is_past)
    if not 0 <= instant_ns <= LATEST_NS:
        raise UsageError(f"{quoted(text)} is too far away", hint="1970 to 2262")
    return instant_ns


def _parsed(text: str, zone: ZoneInfo, now_ns: int, *, is_past: bool) -> int:
    if text == "now":
        return now_ns
    if text[:1] in ("+", "-") and (duration := duration_ns(text[1:])) is not None:
        return now_ns + duration if text[0] == "+" else now_ns - duration
    if match := _CLOCK.fullmatch(text):
        return _nearest(match, zone, now_ns, is_past=is_past)
    with contextlib.suppress(ValueError):
        return parse_rfc3339(text)
    if is_past and (found := _past(text, zone, now_ns)) is not None:
        return found
    try:
        if not _LOCAL.fullmatch(text):
            raise ValueError
        return to_ns(datetime.fromisoformat(text).replace(tzinfo=zone))
    except (ValueError, OverflowError):
        hint = "2026-11-20T11:30:00Z, now, +90s, -90s; 11:30, or 2026-11-20T11:30, in the file's zone"
        raise UsageError(f"{quoted(text)} is not a time", hint=hint) from None


def _past(text: str, zone: ZoneInfo, now_ns: int) -> int | None:
    """Return the start of a day, or an instant this long ago; None if the text is neither."""
    if (duration := duration_ns(text)) is not None:
        return now_ns - duration
    with contextlib.suppress(ValueError, OverflowError):
        if text in _DAYS_AGO:
            date = to_datetime(now_ns, zone).date() - timedelta(days=_DAYS_AGO[text])
            return to_ns(datetime.combine(date, time(), zone))
        if _DATE.fullmatch(text):
            return to_ns(datetime.fromisoformat(text).replace(tzinfo=zone))
    return None


def _nearest(match: re.Match[str], zone: ZoneInfo, now_ns: int, *, is_past: bool) -> int:
    hour, minute, second = (int(part or 0) for part in match.groups())
    if hour > 23 or minute > 59 or second > 59:
        raise UsageError(f"{quoted(match[0])} is not a time of day", hint="00:00 to 23:59:59")
    now = to_datetime(now_ns, zone)
    today = datetime.combine(now.date(), time(hour, minute, second), zone)
    near = [to_ns(today + timedelta(days=days)) for days in (-2, -1, 0, 1, 2)]
    return max(at for at in near if at <= now_ns) if is_past else min(at for at in near if at > now_ns)


def local(instant_ns: int, zone: ZoneInfo) -> str:
    """
    Return an instant for people: weekday, date, time and the zone's short name, with milliseconds unless it
    is a whole second.
    """
    moment = to_datetime(instant_ns, zone)
    fraction = f".{moment.microsecond // 1000:03d}" if moment.microsecond else ""
    return f"{moment:%a %Y-%m-%d %H:%M:%S}{fraction} {moment:%Z}"
