"""The rules for URLs, beyond those that tests of the jobs file show."""

import pytest

from tminus.http_rules.syntax import InvalidSyntax
from tminus.http_rules.urls import BLANK, check_url, forbidden_address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://169.254.169.254/", "169.254.169.254"), ("http://0xa9fea9fe:80/", "169.254.169.254"),
        ("http://[fe80::1%25eth0]/", "fe80::1"), (f"http://{BLANK}/", None), ("http://10.0.0.1/", None),
        ("http://example.com/169.254.1.1", None), ("http://1.2.3.4.5/", None), ("http://100.100.100.200/", "100.100.100.200"),
        ("http://192.0.0.192/", "192.0.0.192"), ("http://0.0.0.0/", "0.0.0.0"), ("http://224.0.0.1/", "224.0.0.1"),
        ("http://[64:ff9b::a9fe:a9fe]/", "64:ff9b::a9fe:a9fe"),
    ],
)  # fmt: skip
def test_addresses_in_urls_that_no_request_may_go_to(url: str, address: str | None) -> None:
    assert forbidden_address(url) == address


def test_braces_have_no_meaning_once_everything_is_put_in() -> None:
    check_url("https://a.example/{{ x }}", f"https://a.example/{BLANK * 7}")
    with pytest.raises(InvalidSyntax) as raised:
        check_url("https://a.example/{{ x }}")
    assert (raised.value.message, raised.value.offset) == ("url: illegal character at 19", 18)
