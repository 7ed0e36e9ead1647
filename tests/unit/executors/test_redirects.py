"""Redirects: which of them stay on the server that a credential was meant for."""

import pytest

from tests.support.executor import a_request
from tminus.executors.http.redirects import forwarded_credentials, stays


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (b"/other?x=1#y", True),
        (b"other/page", True),
        (b"?page=2", True),
        (b"https://shop.example/other", True),
        (b"HTTPS://SHOP.example:443", True),
        (b"//shop.example/other", True),
        (b"http://shop.example/other", False),
        (b"https://shop.example:8443/", False),
        (b"https://evil.example/", False),
        (b"//evil.example/", False),
        (b"/\\evil.example/", False),
        (b"\\\\evil.example/", False),
        (b"https://shop.example\\@evil.example/", False),
        (b"https://shop.example@evil.example/", False),
        (b"https:evil.example", False),
        (b"https:/evil.example", False),
        (b"https:///evil.example", False),
        (b"///evil.example", False),
        (b"https://shop.example\xff/", False),
        (b"https://shop.example\t.evil.example/", False),
        (b"ftp://shop.example/", False),
        (b"", False),
    ],
)
def test_whether_a_redirect_stays(location: bytes, expected: bool) -> None:
    earlier = [b"HTTP/1.1 302 Found\r\n", b"Location: https://shop.example/\r\n", b"\r\n"]
    head = [*earlier, b"HTTP/1.1 302 Found\r\n", b"LOCATION: " + location + b"\r\n", b"\r\n"]
    assert stays(a_request("https://shop.example/api"), head) is expected


def test_two_locations_stay_if_both_do() -> None:
    head = [b"HTTP/1.1 302 Found\r\n", b"Location: /a\r\n", b"Location: https://evil.example/\r\n", b"\r\n"]
    assert not stays(a_request("https://shop.example/api"), head)


def test_the_headers_that_hold_a_credential() -> None:
    lines = [
        "X-Api-Key: 1",
        "X-Auth-Token: 2",
        "X-Custom: 3",
        "Authorization: 4",
        "Cookie: 5",
        "Accept: 6",
        "X-Secret;",
    ]
    # `prepare` may set a header again in another case.
    request = a_request("https://shop.example/", headers=lines, confidential=["x-custom"])
    assert forwarded_credentials(request) == ["X-Api-Key", "X-Auth-Token", "X-Custom", "X-Secret"]
