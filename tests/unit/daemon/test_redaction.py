"""Secrets that come back: as they are, in URLs, in JSON, in any case."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.daemon.redaction import Redaction


@pytest.mark.parametrize("echoed", ["s3cret/&x", "s3cret%2F%26x", "s3cret/%26x", "S3CRET/&X"])
def test_it_is_found_as_it_is_and_as_a_url_has_it(echoed: str) -> None:
    redaction = Redaction(["s3cret/&x"])
    assert redaction.text(f"got {echoed}!") == "got ***!"
    assert redaction.data(f"got {echoed}!".encode()) == b"got ***!"


def test_it_is_found_as_json_has_it() -> None:
    assert Redaction(['pass"word']).data(rb'{"key": "pass\"word"}') == b'{"key": "***"}'


def test_of_secrets_that_begin_alike_the_longest_goes_whole() -> None:
    assert Redaction(["secret", "secret-of-mine"]).text("a secret-of-mine") == "a ***"


def test_in_a_value_of_json_it_is_found_in_keys_texts_and_numbers_and_the_rest_stays() -> None:
    value = {"pin 123456": [123456, 7, None, True, "it is 123456"], "a": {"b": 1.5}}
    assert Redaction(["123456"]).json(value) == {"pin ***": ["***", 7, None, True, "it is ***"], "a": {"b": 1.5}}


def test_one_that_is_too_short_to_hide_anything_is_left_alone() -> None:
    assert Redaction(["abc", ""]).text("abcdef") == "abcdef"


def test_it_never_shows_what_it_hides() -> None:
    assert repr(Redaction(["canary-1"])) == "<Redaction>"


@given(st.text(min_size=4).filter(lambda secret: "*" not in secret), st.text(), st.text())
def test_whatever_stands_around_it_no_secret_stays(secret: str, before: str, after: str) -> None:
    try:
        quoted = quote(secret)
    except UnicodeEncodeError:
        return  # half a character: nothing that could have been sent
    redaction = Redaction([secret])
    assert secret not in redaction.text(f"{before}{secret}{after}".replace("*", ""))
    assert quoted.encode() not in redaction.data(f"{before}{quoted}{after}".replace("*", "").encode(errors="replace"))
