"""
Reads the files of tcpdump: TCP segments with the kernel's time stamps. The format is too small for a
dependency.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.arrivals import Arrival

#: First bytes of a file, with its byte order and the nanoseconds per unit of its stamps.
_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
#: Link types and the lengths of their headers: Ethernet (lo), Linux cooked 1 and 2, raw IP (a TUN device).
_LINK_HEADER = {1: 14, 113: 16, 276: 20, 0: 4, 12: 0, 101: 0}
_METHODS = (b"GET ", b"POST", b"PUT ", b"HEAD")
_OCCURRENCE = b"\r\nX-Tminus-Occurrence: "
_SYN = 0x02


@dataclass(frozen=True, slots=True)
class Segment:
    """
    One TCP segment from a client, over IPv4.

    Attributes:
        client: Port of the client.
        payload: The captured part.
    """

    at_ns: int
    client: int
    sequence: int
    is_syn: bool
    payload: bytes


def segments(file: Path) -> Iterator[Segment]:
    """Yield all segments, in the order in which they were sent."""
    data = file.read_bytes()
    order, unit = _MAGIC[data[:4]]
    header = _LINK_HEADER[struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF]
    record = struct.Struct(order + "IIII")
    offset = 24
    while offset + record.size <= len(data):
        seconds, fraction, captured, _ = record.unpack_from(data, offset)
        offset += record.size
        # Integers: a float has too few digits for nanoseconds since 1970.
        yield _segment(seconds * 10**9 + fraction * unit, data[offset + header : offset + captured])
        offset += captured


def _segment(at_ns: int, packet: bytes) -> Segment:
    words = (packet[0] & 15) * 4
    length = struct.unpack_from(">H", packet, 2)[0]
    client, _, sequence = struct.unpack_from(">HHI", packet, words)
    start = words + (packet[words + 12] >> 4) * 4
    return Segment(at_ns, client, sequence, bool(packet[words + 13] & _SYN), packet[start:length])


def requests(file: Path) -> Iterator[Arrival]:
    """
    Yield the requests of plain HTTP: segments that begin with a method. Retransmissions count once.
    """
    seen: set[tuple[int, int]] = set()
    for segment in segments(file):
        payload, place = segment.payload, (segment.client, segment.sequence)
        if payload[:4] in _METHODS and place not in seen:
            seen.add(place)
            path = payload.split(b" ", 2)[1].decode("latin-1")
            _, found, rest = payload.partition(_OCCURRENCE)
            yield Arrival(segment.at_ns, path, rest.partition(b"\r\n")[0].decode("latin-1") if found else "")
