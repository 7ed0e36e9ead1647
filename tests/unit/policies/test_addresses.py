"""Which addresses no request may go to, in every way they can be written."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.policies.addresses import may_connect

BLOCKED = [
    "169.254.169.254", "169.254.0.1", "0.0.0.0", "224.0.0.1", "239.255.255.255", "100.100.100.200", "192.0.0.192",
    "::", "fe80::1", "fe80::1%eth0", "ff02::1", "fd00:ec2::254", "::ffff:169.254.169.254", "::ffff:100.100.100.200",
    "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::ffff:0.0.0.0",
]  # fmt: skip
ALLOWED = [
    "127.0.0.1",
    "::1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "93.184.216.34",
    "2606:2800:220:1::1",
    "fd00::1",
    "::ffff:10.0.0.1",
]


@pytest.mark.parametrize("address", BLOCKED)
def test_forbidden_addresses(address: str) -> None:
    assert not may_connect(address)


@pytest.mark.parametrize("address", ALLOWED)
def test_allowed_addresses(address: str) -> None:
    assert may_connect(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_inside_ipv6(address: ipaddress.IPv4Address) -> None:
    inside = [
        f"::ffff:{address}",
        str(ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + int(address))),
    ]
    assert {may_connect(text) for text in inside} == {may_connect(str(address))}
