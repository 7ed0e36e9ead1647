"""
Instants and durations: integers of nanoseconds inside, since the Unix epoch; RFC 3339 and `5s` outside.

Source: RFC 3339, section 5.6. A `datetime` has microseconds only, so the fraction is kept apart from it.
"""

import re
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache

MS = 1_000_000
SECOND = 1_000_000_000

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
#: The last instant that fits into 64 bits, and so into a ledger. It is in April 2262.
LATEST_NS = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_UNITS_NS = {"ms": MS, "s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND, "d": 86_400 * SECOND}
_MOST_SECONDS = 1e12
#: How a long duration is shown: in a unit and a smaller one, each with its seconds.
_UNIT_PAIRS = (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1))


def to_ns(moment: datetime) -> int:
    """Return an aware datetime as nanoseconds since the Unix epoch, exact to its microsecond."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds * 1_000


def to_datetime(instant_ns: int, zone: tzinfo = UTC) -> datetime:
    """Return the instant in that zone, cut (never rounded up) to whole microseconds."""
    seconds, rest = divmod(instant_ns, SECOND)
    return datetime.fromtimestamp(seconds, zone).replace(microsecond=rest // 1_000)


def rfc3339(instant_ns: int, zone: tzinfo = UTC) -> str:
    """Return RFC 3339 text with up to 9 decimals, and with `Z` for UTC or the offset of another zone."""
    seconds, rest = divmod(instant_ns, SECOND)
    text = datetime.fromtimestamp(seconds, zone).isoformat()
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{text[:19]}{fraction}{'Z' if zone is UTC else text[19:]}"


def parse_rfc3339(text: str) -> int:
    """
    Parse RFC 3339 text with an offset; seconds may be left out. Return nanoseconds since the Unix epoch.

    Raises:
        ValueError: the text is not an RFC 3339 date-time, or has no offset.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an RFC 3339 date-time, such as 2026-11-20T11:30:00Z")
    date, minute, second, fraction, offset = match.groups()
    moment = datetime.fromisoformat(
        f"{date}T{minute}:{second or '00'}{'+00:00' if offset in 'Zz' else offset}"
    )
    return to_ns(moment) + int((fraction or "").ljust(9, "0"))


def duration_ns(value: object) -> int | None:
    """Return the nanoseconds of `250ms`, `5s`, `2m`, `1h`, `1d` or a number of seconds; else None."""
    if isinstance(value, str):
        return _duration_ns(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MOST_SECONDS:
        return None
    return round(value * SECOND)


def format_duration(duration_ns: int, *, whole_seconds: bool = False) -> str:
    """
    Return a duration for people: `120 µs`, `1.4 ms`, `29.3 s`, `5 min 29 s`, `3 h 10 min`, `12 d 4 h`.

    Args:
        duration_ns: The duration; its sign is ignored.
        whole_seconds: Whether to cut it to whole seconds.
    """
    duration_ns = abs(duration_ns)
    seconds = duration_ns // SECOND
    for unit, size, small_unit, small_size in _UNIT_PAIRS:
        if seconds >= size:
            rest = seconds % size // small_size
            return f"{seconds // size} {unit}" + (f" {rest} {small_unit}" if rest else "")
    if whole_seconds:
        return f"{seconds} s"
    unit, size = ("s", SECOND) if seconds else ("ms", MS) if duration_ns >= MS else ("µs", 1_000)
    value = duration_ns / size
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


@lru_cache(maxsize=4096)
def _duration_ns(text: str) -> int | None:
    match = _DURATION.fullmatch(text)
    return round(Decimal(match[1]) * _UNITS_NS[match[2]]) if match and len(text) < 30 else None
