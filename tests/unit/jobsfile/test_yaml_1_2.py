"""Scalars as YAML 1.2 reads them, and what the reader makes of a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.jobsfile.text.document import Document
from tminus.jobsfile.text.scalars import Scalar, resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("NULL", None), ("nULL", "nULL"),
        ("true", True), ("False", False), ("TRUE", True), ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"),
        ("0", 0), ("-0", 0), ("010", 10), ("+12", 12), ("0o14", 12), ("0xC", 12), ("0b1", "0b1"), ("-0x1", "-0x1"),
        ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("-1E-2", -0.01), (".", "."), ("1.2.3", "1.2.3"), ("e3", "e3"),
        (".inf", float("inf")), ("-.INF", float("-inf")), ("inf", "inf"), ("+", "+"), ("-", "-"), ("--1", "--1"),
        ("1_000", "1_000"),
        ("11:30", "11:30"), ("11:30:00", "11:30:00"), ("2026-11-20", "2026-11-20"), ("2026-12-31T23:59", "2026-12-31T23:59"),
        ("٣", "٣"), ("1٣", "1٣"), ("5 parsecs", "5 parsecs"), ("30s", "30s"),
    ],
)  # fmt: skip
def test_a_plain_scalar(text: str, value: Scalar) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


def test_not_a_number() -> None:
    found = resolve(".nan")
    assert found != found


def test_a_number_of_thousands_of_digits_stays_text() -> None:
    assert resolve("9" * 5000) == "9" * 5000


@given(st.integers())
def test_whole_numbers_are_whole_numbers(number: int) -> None:
    assert resolve(str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_fractions_are_fractions(number: float) -> None:
    assert resolve(repr(number)) == number


@given(st.text())
def test_any_text_is_some_scalar(text: str) -> None:
    assert isinstance(resolve(text), str | int | float | bool | None)


def read(text: str) -> object:
    document = Document("jobs.yaml", text.encode())
    assert document.problems == []
    return document.value


def test_maps_lists_and_quotes() -> None:
    assert read("a:\n  - 1\n  - '1'\nb: |\n  x\n  y\nc: >-\n  x\n  y\n") == {
        "a": [1, "1"],
        "b": "x\ny\n",
        "c": "x y",
    }


def test_keys_are_their_text() -> None:
    assert read("1: a\ntrue: b\n~: c\non: d\n") == {"1": "a", "true": "b", "~": "c", "on": "d"}


def test_an_alias_is_what_its_anchor_is() -> None:
    assert read("a: &x {b: 1}\nc: *x\nd: [*x, &y 010, *y]\n") == {
        "a": {"b": 1},
        "c": {"b": 1},
        "d": [{"b": 1}, 10, 10],
    }


def test_a_place_is_found_by_its_path() -> None:
    document = Document("jobs.yaml", b"# first\njobs:\n  a:\n    tags: [x, 'yz']\n    http: {url: \"ab\"}\n")
    spot = document.spot(("jobs", "a", "tags", 1))
    assert (spot.line, spot.column, spot.length) == (4, 15, 4)
    spot = document.spot(("jobs", "a", "tags", 1), offset=1)
    assert (spot.line, spot.column, spot.length) == (4, 17, 1)
    spot = document.spot(("jobs", "a", "http", "url"), on_key=True)
    assert (spot.line, spot.column, spot.length) == (5, 12, 3)
    spot = document.spot(("jobs", "a", "http", "query", "x"))
    assert (spot.line, spot.column, spot.taken) == (5, 11, ("jobs", "a", "http"))
    spot = document.spot(("jobs", "a"))
    assert (spot.line, spot.column, spot.length) == (3, 3, 1)


def test_columns_count_characters() -> None:
    document = Document("jobs.yaml", "jobs: {ä: 'öü😀', b: c}\n".encode())
    spot = document.spot(("jobs", "b"))
    assert (spot.line, spot.column) == (1, 21)
