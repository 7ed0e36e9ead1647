"""
Addresses: which peers a request may go to.

A back office calls its own private networks, so these are allowed. Forbidden are the addresses that can only
be a mistake or an attack: metadata services of clouds, and other link-local, multicast and unspecified
addresses. The lanes decide by the address that libcurl has connected to, never by the text of the URL.
"""

import functools
import ipaddress

_IPv6 = ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "fd00:ec2::254",  # AWS over IPv6; over IPv4 it is link-local
        "100.100.100.200",  # Alibaba Cloud
        "192.0.0.192",  # Oracle Cloud, classic
    )
)


@functools.lru_cache(maxsize=4096)
def may_connect(address: str) -> bool:
    """
    Return whether a request may go to this peer. Cached: at T it costs a look-up.

    Args:
        address: An IPv4 or IPv6 address as text, with or without a zone.
    """
    peer = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(peer, _IPv6):
        peer = peer.ipv4_mapped or peer.sixtofour or (_last_32_bits(peer) if peer in _NAT64 else peer)
    return not (peer.is_link_local or peer.is_multicast or peer.is_unspecified or peer in _METADATA)


def _last_32_bits(address: _IPv6) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
