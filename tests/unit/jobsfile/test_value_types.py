"""Durations, sizes and the other types of values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.instants import MS, SECOND, duration_ns
from tminus.jobsfile.jobs import schema
from tminus.jobsfile.text.faults import InvalidValue
from tminus.jobsfile.types import at_times, crons, urls, zones
from tminus.jobsfile.types.http_types import HEADER_NAME, HEADER_VALUE, METHOD, STATUS, VERSION
from tminus.jobsfile.types.maps import validate_map
from tminus.jobsfile.types.setting_types import FILE_VERSION, LEAD, LEDGER, PARAM_NAME
from tminus.jobsfile.types.values import (
    WORD,
    ValueType,
    duration,
    integer,
    or_auto,
    size,
    size_bytes,
)
from tminus.model.job import Cron
from tminus.schedule.fire_times import after

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.from_regex(r"[0-9a-z:*/.@#\[\]-]{0,20}"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
TYPES = {
    "url": urls.URL, "cron": crons.CRON, "at": at_times.AT, "zone": zones.ZONE, "method": METHOD, "status": STATUS, "http": VERSION,
    "header value": HEADER_VALUE, "lead": LEAD, "ledger": LEDGER, "version": FILE_VERSION,
    "duration": duration("0.1s", "24h", example="30s"), "size": size("1GiB", example="16MiB"), "integer": integer(1, 5), "word": WORD,
    "auto": or_auto(integer(1, 5), "1–5"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("written", "nanoseconds"),
    [
        ("250ms", 250 * MS), ("5s", 5 * SECOND), ("2m", 120 * SECOND), ("1h", 3600 * SECOND), ("1d", 86_400 * SECOND),
        ("0.1s", 100 * MS), ("1.5h", 5400 * SECOND), (5, 5 * SECOND), (0.25, 250 * MS), (-1, -SECOND), ("0s", 0),
        ("-5s", None), ("5", None), ("5 s", None), ("5S", None), ("1h30m", None), ("", None), ("s", None), ("1e3s", None),
        (True, None),
        (float("inf"), None), (float("nan"), None), (None, None), ([5], None), ("٣s", None), ("5parsecs", None), (".5s", None),
    ],
)  # fmt: skip
def test_durations(written: Any, nanoseconds: int | None) -> None:
    assert duration_ns(written) == nanoseconds


@given(st.integers(min_value=0, max_value=10**9), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_whole_durations_are_exact(number: int, unit: str) -> None:
    length = {"ms": MS, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": 86_400 * SECOND}[unit]
    assert duration_ns(f"{number}{unit}") == number * length


@given(st.decimals(min_value=0, max_value=10**6, places=3))
def test_a_number_and_the_same_number_of_seconds_are_the_same(number: Any) -> None:
    assert duration_ns(f"{number:f}s") == duration_ns(float(number))


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("16MiB", 16 << 20),
        ("64KiB", 65536),
        ("1GiB", 1 << 30),
        ("5B", 5),
        (7, 7),
        ("16MB", None),
        ("1.5MiB", None),
        (True, None),
        (1.5, None),
    ],
)
def test_sizes(written: Any, found: int | None) -> None:
    assert size_bytes(written) == found


@pytest.mark.parametrize(
    ("written", "version"), [("1.1", "1.1"), (1.1, "1.1"), ("2", "2"), (2, "2"), (2.0, "2")]
)
def test_versions_of_http(written: Any, version: str) -> None:
    assert VERSION.parse(written) == version


@pytest.mark.parametrize("value_type", TYPES.values(), ids=TYPES)
@given(value=ANYTHING)
def test_any_value_is_parsed_or_refused_with_a_message_and_a_hint(
    value_type: ValueType[Any], value: Any
) -> None:
    try:
        value_type.parse(value)
    except InvalidValue as wrong:
        for fault in wrong.faults:
            assert fault.message
            assert fault.hint
            assert fault.offset is None or (isinstance(value, str | list) and fault.offset >= 0)


@pytest.mark.parametrize("value_type", [HEADER_NAME, PARAM_NAME], ids=["header", "param"])
@given(key=st.text())
def test_any_key_is_accepted_or_refused_at_the_key(value_type: ValueType[Any], key: str) -> None:
    try:
        parsed = value_type.parse(key)
    except InvalidValue as wrong:
        parsed = key if wrong.faults[0].on_key else None
    assert parsed == key


FIELD = st.from_regex(
    r"(\*|[0-9]{1,2}|[A-Za-z]{3})(-[0-9]{1,2})?(/[0-9]{1,2})?(,[0-9]{1,2})?", fullmatch=True
)


@given(st.lists(FIELD, min_size=5, max_size=6).map(" ".join))
def test_a_cron_text_that_is_accepted_fires(text: str) -> None:
    try:
        crons.CRON.parse(text)
    except InvalidValue as wrong:
        fault = wrong.faults[0]
        assert (
            fault.offset is None
            or text[fault.offset : fault.offset + fault.length].strip()
            == text[fault.offset :][: fault.length]
        )
        return
    assert after((Cron(text, "UTC"),), 0) is not None


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example.com", "HTTPS://shop.example.com:8443/a?b=c&d=%20#e", "http://127.0.0.1/", "http://[::1]:8080/", "http://a_b/",
        "https://bücher.example/x", "https://{{ params.tenant }}.example.com/x", "{{ params.base }}/x",
        "https://${env:HOST}:{{ params.port }}/",
        "{{ params.scheme }}://a.example/", "https://a.example/%{{ params.hex }}", "https://a.example./x", "${env:URL}",
    ],
)  # fmt: skip
def test_urls_that_are_accepted(url: str) -> None:
    assert urls.URL.parse(url) == url


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Berlin", "Europe/Berlin"), ("europe/berlin", "Europe/Berlin"), ("new york", "America/New_York"),
        ("Tokio", "Asia/Tokyo"), ("utc", "UTC"), ("Europe/Berln", "Europe/Berlin"),
        ("Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
    ],
)  # fmt: skip
def test_zones_that_are_nearly_right(name: str, near: str) -> None:
    with pytest.raises(InvalidValue) as raised:
        zones.ZONE.parse(name)
    assert raised.value.faults[0].message == f"unknown zone; did you mean {near}"


@pytest.mark.parametrize("name", ["CET", "CET+1", "EST5EDT", "local", "Europe/Munich"])
def test_a_zone_that_looks_like_none_gets_no_suggestion(name: str) -> None:
    with pytest.raises(InvalidValue) as raised:
        zones.ZONE.parse(name)
    assert "did you mean" not in raised.value.faults[0].message


@pytest.mark.parametrize(
    "name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/UTC", "Asia/Calcutta"]
)
def test_zones_that_are_right(name: str) -> None:
    assert zones.ZONE.parse(name) == name


@pytest.mark.parametrize(
    "name",
    ["EST", "CET", "GMT", "Z", "+01:00", "", "/", "..", "../etc/passwd", "/etc/passwd", "posix/UTC", "a\0b"],
)
def test_names_that_are_not_zones(name: str) -> None:
    with pytest.raises(InvalidValue) as raised:
        zones.ZONE.parse(name)
    assert raised.value.faults[0].message == "time zone must be an IANA Area/City name or UTC"


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("command", "no shell commands"),
        ("cron", "schedule: {cron:"),
        ("url", "http: {url:"),
        ("enabled", "suspend: true"),
    ],
)
def test_a_key_of_other_programs_gets_what_is_written_here(key: str, hint: str) -> None:
    (fault,) = validate_map(schema.JobSpec, {key: "x"}).faults
    assert hint in fault.hint


def test_a_key_that_is_nearly_right_gets_a_suggestion() -> None:
    (fault,) = validate_map(schema.JobSpec, {"shedule": "x"}).faults
    assert fault.hint == "did you mean schedule?"
