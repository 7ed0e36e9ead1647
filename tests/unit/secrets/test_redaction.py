"""Secrets that come back: as they are, in URLs, in JSON, in any case."""

import base64
import re
import time
import timeit
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.secrets.redaction import Redaction


def _cost(action: Callable[[], object], setup: Callable[[], object] = lambda: None) -> float:
    """Return the processor time of an action, which other processes do not add to."""
    return min(timeit.repeat(action, setup, timer=time.thread_time, number=1, repeat=3))


@pytest.mark.parametrize("echoed", ["s3cret/&x", "s3cret%2F%26x", "s3cret/%26x", "S3CRET/&X"])
def test_it_is_found_as_it_is_and_as_a_url_has_it(echoed: str) -> None:
    redaction = Redaction(["s3cret/&x"])
    assert redaction.text(f"got {echoed}!") == "got ***!"
    assert redaction.data(f"got {echoed}!".encode()) == b"got ***!"


def test_it_is_found_as_json_has_it() -> None:
    assert Redaction(['pass"word']).data(rb'{"key": "pass\"word"}') == b'{"key": "***"}'


@pytest.mark.parametrize(
    "echoed",
    [
        r"""pä\/"s""",
        r"""p\u00e4\/\"s""",
        r"""p\u00E4/\"s""",
        "p%C3%A4%2F%22s",
        "p%c3%a4%2f%22s",
        r"""pä/\"s""",
    ],
)
def test_other_forms_of_json_and_urls_are_found(echoed: str) -> None:
    assert (
        Redaction(['pä/"s']).text(
            f"<{echoed.replace(chr(92) + '/' + chr(34), chr(92) + '/' + chr(92) + chr(34))}>"
        )
        == "<***>"
    )


@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
def test_it_is_found_in_base64_whatever_stands_before_it(before: str) -> None:
    secret = "s3cret-of-some-length"
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = Redaction([secret]).text(encode(f"{before}{secret}:more".encode()).decode())
        assert "***" in text
        assert len(text) <= 20


@pytest.mark.parametrize("secret", [b"a-long-secret", b"A-Long-SECRET"])
def test_of_what_is_cut_no_beginning_of_a_secret_is_left(secret: bytes) -> None:
    redaction, body = Redaction([secret.decode()]), b"x" * 10 + secret + b"y" * 100
    for keep in range(10, 30):
        assert secret[:4] not in redaction.beginning(body, keep=keep, size=len(body))
        assert secret[:4] not in redaction.beginning(body[:keep], keep=keep, size=len(body))
    cut = "… (cut, 200 bytes)"
    assert redaction.text(f"head {secret[:9].decode()}{cut}") == f"head ***{cut}"


@pytest.mark.parametrize("secret", [b"a-long-secret", b"A-Long-SECRET"])
def test_of_an_output_whose_middle_is_left_out_no_end_of_a_secret_is_left(secret: bytes) -> None:
    left_out = "\n… 7 bytes are left out …\n".encode()
    output = Redaction([secret.decode()]).output(b"head " + secret[:9] + left_out + secret[6:] + b" tail")
    assert output == b"head ***" + left_out + b"*** tail"


def test_a_marker_that_a_job_prints_itself_hides_no_cut() -> None:
    secret, left_out = b"a-long-secret", "\n… 7 bytes are left out …\n".encode()
    redaction, own = Redaction([secret.decode()]), "\n… 1 bytes are left out …\n".encode()
    output = own + b"head " + secret[:9] + left_out + secret[6:] + b" tail" + own
    assert redaction.output(output) == own + b"head ***" + left_out + b"*** tail" + own
    joined = own.removesuffix(b"\n") + left_out
    assert redaction.output(b"head " + secret[:9] + joined + secret[6:]) == b"head ***" + joined + b"***"


def test_a_marker_that_a_message_contains_hides_no_cut() -> None:
    redaction, cut = Redaction(["a-long-secret"]), "… (cut, 200 bytes)"
    assert redaction.text(f"{cut} head a-long-se{cut} tail{cut}") == f"{cut} head ***{cut} tail{cut}"


def test_a_long_secret_costs_no_more_where_a_text_is_cut() -> None:
    secret = "".join(chr(33 + at * 11 % 90) for at in range(64 << 10))
    redaction, whole = Redaction([secret]), b"no secret " * 7000
    cut = whole + "\n… 7 bytes are left out …\n".encode() + whole
    searched = _cost(lambda: redaction.output(whole))
    assert _cost(lambda: redaction.output(cut)) < 100 * searched


def test_it_costs_no_more_than_some_searches() -> None:
    """200 jobs with tokens of 2 KiB, and a long answer: a pattern of such a token takes longer than both."""
    tokens = ["".join(chr(33 + (number * 7 + at * 11) % 90) for at in range(2048)) for number in range(200)]
    body = b"an answer without any secret, " * (1 << 19)
    pattern = _cost(lambda: re.compile(re.escape(tokens[0])), setup=re.purge)
    assert _cost(lambda: [Redaction([token]) for token in tokens]) < 10 * pattern
    search = _cost(lambda: body.find(b"~ not in it ~"))
    assert _cost(lambda: Redaction(["hunter2-and-more"]).data(body)) < 100 * search


def test_a_text_that_is_not_ascii_costs_little_more_than_its_bytes() -> None:
    """
    The answer of a job with a chain may be bytes of any kind; meanwhile the countdowns of others wait for the
    GIL.
    """
    redaction, data = Redaction(["hunter2-and-more"]), "no secret – ".encode() * (1 << 18)
    text = data.decode()
    coded = _cost(lambda: data.decode().encode())
    searched = _cost(lambda: redaction.data(data))
    assert _cost(lambda: redaction.text(text)) < 10 * (coded + searched)
    assert redaction.text("größer als HUNTER2-and-more – ja") == "größer als *** – ja"


def test_of_secrets_that_begin_alike_the_longest_goes_whole() -> None:
    assert Redaction(["secret", "secret-of-mine"]).text("a secret-of-mine") == "a ***"


def test_in_a_value_of_json_it_is_found_in_keys_texts_and_numbers_and_the_rest_stays() -> None:
    value = {"pin 123456": [123456, 7, None, True, "it is 123456"], "a": {"b": 1.5}}
    assert Redaction(["123456"]).json(value) == {
        "pin ***": ["***", 7, None, True, "it is ***"],
        "a": {"b": 1.5},
    }


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
    assert quoted.encode() not in redaction.data(
        f"{before}{quoted}{after}".replace("*", "").encode(errors="replace")
    )
