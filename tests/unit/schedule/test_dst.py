"""The next transition of a zone, and which fixed-time crons it touches."""

import struct
import zoneinfo
from datetime import datetime
from importlib import resources
from itertools import pairwise
from pathlib import Path

import pytest

from tminus.instants import SECOND, parse_rfc3339, rfc3339
from tminus.model.job import Cron
from tminus.schedule.dst import Touched, next_transition, touched, transitions

NOVEMBER = parse_rfc3339("2026-11-20T11:30:00Z")
JULY = parse_rfc3339("2026-07-01T00:00:00Z")


@pytest.mark.parametrize(
    ("zone", "instant_ns", "expected", "skipped_s"),
    [
        ("Europe/Berlin", NOVEMBER, "2027-03-28T01:00:00Z", 3_600),
        ("Europe/Berlin", JULY, "2026-10-25T01:00:00Z", -3_600),
        ("America/New_York", NOVEMBER, "2027-03-14T07:00:00Z", 3_600),
        ("America/Los_Angeles", JULY, "2026-11-01T09:00:00Z", -3_600),
        ("Australia/Lord_Howe", JULY, "2026-10-03T15:30:00Z", 1_800),
        ("America/Scoresbysund", NOVEMBER, "2027-03-28T01:00:00Z", 3_600),
        ("Pacific/Apia", parse_rfc3339("2011-12-01T00:00:00Z"), "2011-12-30T10:00:00Z", 86_400),
        ("Antarctica/Troll", NOVEMBER, "2027-03-28T01:00:00Z", 7_200),
    ],
)
def test_the_next_transition(zone: str, instant_ns: int, expected: str, skipped_s: int) -> None:
    transition = next_transition(zone, instant_ns)
    assert transition is not None
    assert rfc3339(transition.instant_ns) == expected
    assert (
        transition.after_s - transition.before_s
        == skipped_s
        == len(transition.skipped) - len(transition.repeated)
    )


def test_the_next_transition_is_after_the_instant() -> None:
    spring = parse_rfc3339("2027-03-28T01:00:00Z")
    at_it, before_it = next_transition("Europe/Berlin", spring), next_transition("Europe/Berlin", spring - 1)
    assert before_it is not None
    assert at_it is not None
    assert (before_it.instant_ns, rfc3339(at_it.instant_ns)) == (spring, "2027-10-31T01:00:00Z")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "Etc/GMT+5"])
def test_a_zone_that_has_settled_has_no_next_transition(zone: str) -> None:
    assert next_transition(zone, NOVEMBER) is None


@pytest.mark.parametrize(
    ("zone", "text", "before", "expected"),
    [
        pytest.param(
            "Europe/Berlin", "30 2 * * *", NOVEMBER,
            ("2027-03-28T02:30:00", ["2027-03-28T01:00:00Z"]), id="in the gap: runs right after it",
        ),
        pytest.param(
            "Europe/Berlin", "15,45 0-4 * * *", JULY,
            ("2026-10-25T02:15:00", ["2026-10-25T00:15:00Z"]), id="in the overlap: runs in the first pass",
        ),
        pytest.param(
            "Europe/Berlin", "10 30 2 * * *", NOVEMBER,
            ("2027-03-28T02:30:10", ["2027-03-28T01:00:00Z"]), id="with seconds",
        ),
        pytest.param(
            "America/Scoresbysund", "30 23 * * sat", NOVEMBER,
            ("2027-03-27T23:30:00", ["2027-03-28T01:00:00Z"]), id="the day before it runs",
        ),
        pytest.param(
            "Pacific/Apia", "30 11 30 12 *", parse_rfc3339("2011-12-01T00:00:00Z"),
            ("2011-12-30T11:30:00", []), id="a correction forward: not run at all",
        ),
        pytest.param(
            "Pacific/Kwajalein", "30 12 30 9 *", parse_rfc3339("1969-09-01T00:00:00Z"),
            ("1969-09-30T12:30:00", ["1969-09-30T01:30:00Z", "1969-10-01T00:30:00Z"]), id="a correction back: run twice",
        ),
        pytest.param("Europe/Berlin", "0 3 * * *", NOVEMBER, None, id="at the end of the gap"),
        pytest.param("Europe/Berlin", "59 1 * * *", NOVEMBER, None, id="before the gap"),
        pytest.param("Europe/Berlin", "30 2 * * mon-fri", NOVEMBER, None, id="not on that day"),
        pytest.param("Europe/Berlin", "*/10 * * * *", NOVEMBER, None, id="a star in the minute"),
        pytest.param("Europe/Berlin", "30 */2 * * *", NOVEMBER, None, id="a star in the hour"),
    ],
)  # fmt: skip
def test_a_transition_skips_or_repeats_fire_times_of_a_cron(
    zone: str, text: str, before: int, expected: tuple[str, list[str]] | None
) -> None:
    transition = next_transition(zone, before)
    assert transition is not None
    touch = touched(Cron(text, zone), transition)
    if expected is None:
        assert touch is None
    else:
        local, instants = expected
        assert touch == Touched(datetime.fromisoformat(local), tuple(parse_rfc3339(at) for at in instants))


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(zoneinfo.ZoneInfoNotFoundError, match="Mars/Olympus"):
        next_transition("Mars/Olympus", NOVEMBER)


def zone_file(zone: str) -> bytes:
    for folder in zoneinfo.TZPATH:
        if (path := Path(folder, zone)).is_file():
            return path.read_bytes()
    return resources.files("tzdata.zoneinfo").joinpath(*zone.split("/")).read_bytes()


def changes_in_file(zone: str) -> list[tuple[int, int]]:
    """Seconds and new offsets as the version 2 part of the zone's TZif file lists them (RFC 8536)."""
    data = zone_file(zone)
    header = struct.Struct(">4sc15x6l")
    _, _, isut, isstd, leap, times, types, chars = header.unpack_from(data)
    at = header.size + times * 5 + types * 6 + chars + leap * 8 + isstd + isut
    _, _, isut, isstd, leap, times, types, chars = header.unpack_from(data, at)
    at += header.size
    seconds = struct.unpack_from(f">{times}q", data, at)
    offsets = [
        struct.unpack_from(">lbB", data, at + times * 9 + 6 * kind)[0]
        for kind in data[at + times * 8 : at + times * 9]
    ]
    changes = list(zip(seconds, offsets, strict=True))
    return [now for before, now in pairwise(changes) if now[1] != before[1]]


@pytest.mark.parametrize("part", range(4))
def test_transitions_are_those_of_the_zone_files(part: int) -> None:
    for zone in sorted(zoneinfo.available_timezones())[part::4]:
        listed = changes_in_file(zone)
        # Where the file ends with a rule for ever, what it lists is all up to its last transition only.
        last = (
            min(2038, datetime.fromtimestamp(listed[-1][0], zoneinfo.ZoneInfo("UTC")).year) if listed else 0
        )
        expected = [change for change in listed if _start(2015) <= change[0] < _start(last)]
        found = [transition for year in range(2015, last) for transition in transitions(zone, year)]
        assert [(transition.instant_ns // SECOND, transition.after_s) for transition in found] == expected, (
            zone
        )


@pytest.mark.parametrize("part", range(4))
def test_no_zone_changes_its_offset_twice_within_three_days(part: int) -> None:
    for zone in sorted(zoneinfo.available_timezones())[part::4]:
        seconds = [second for second, _ in changes_in_file(zone)]
        assert all(following - second > 3 * 86_400 for second, following in pairwise(seconds)), zone


def _start(year: int) -> int:
    return parse_rfc3339(f"{year}-01-01T00:00:00Z") // SECOND if year else 0
