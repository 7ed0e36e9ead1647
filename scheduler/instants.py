"""
Instants: integers of nanoseconds since the Unix epoch inside, RFC 3339 text outside.

Source: RFC 3339, section 5.6. A `datetime` holds microseconds only, so the fraction is carried beside it.
"""

import re
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache

MS = 1_000_000
SECOND = 1_000_000_000

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
#: The last instant that fits into 64 bits, in April 2262, and so into a ledger.
LATEST_NS = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_UNITS_NS = {"ms": MS, "s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND, "d": 86_400 * SECOND}
_MOST_SECONDS = 1e12


def to_ns(moment: datetime) -> int:
    """An aware datetime as nanoseconds since the Unix epoch, exact to its microsecond."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds * 1_000


def to_datetime(instant_ns: int, zone: tzinfo = UTC) -> datetime:
    """The instant in that zone, cut (never rounded up) to whole microseconds."""
    seconds, rest = divmod(instant_ns, SECOND)
    return datetime.fromtimestamp(seconds, zone).replace(microsecond=rest // 1_000)


def rfc3339(instant_ns: int, zone: tzinfo = UTC) -> str:
    """RFC 3339 text; up to 9 decimals, trailing zeros dropped; `Z` for UTC, else the zone's offset."""
    seconds, rest = divmod(instant_ns, SECOND)
    text = datetime.fromtimestamp(seconds, zone).isoformat()
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{text[:19]}{fraction}{'Z' if text.endswith('+00:00') and zone is UTC else text[19:]}"


def parse_rfc3339(text: str) -> int:
    """
    RFC 3339 text with an offset (seconds may be left out) as nanoseconds since the Unix epoch.

    Raises:
        ValueError: the text is no RFC 3339 date-time, or has no offset.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an RFC 3339 date-time, such as 2026-11-20T11:30:00Z")
    date, time, fraction, offset = match.groups()
    moment = datetime.fromisoformat(f"{date}T{time}{'+00:00' if offset in 'Zz' else offset}")
    return to_ns(moment) + int((fraction or "").ljust(9, "0"))


def duration_ns(value: object) -> int | None:
    """Nanoseconds of `250ms`, `5s`, `2m`, `1h`, `1d`, or of a number of seconds; None for anything else."""
    if isinstance(value, str):
        return _duration_ns(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MOST_SECONDS:
        return None
    return round(value * SECOND)


@lru_cache(maxsize=4096)
def _duration_ns(text: str) -> int | None:
    match = _DURATION.fullmatch(text)
    return round(Decimal(match[1]) * _UNITS_NS[match[2]]) if match and len(text) < 30 else None
