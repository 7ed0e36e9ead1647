"""
Requests inside TLS 1.3, told from the outside: when the record that holds one was sent.

A client's records of type `application data` are its Finished message, then its requests, then a short alert when it closes.
Source: RFC 8446, 5.2 (every encrypted record calls itself application data).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.arrivals import Arrival
from bench.pcap import Segment, segments

_APPLICATION_DATA = 23
_HEADER = 5
#: An alert is 2 bytes, the type 1, the tag 16; no request is as short.
_ALERT = 19


@dataclass(slots=True)
class _Connection:
    """
    The client's half of a connection.

    Attributes:
        start: The sequence number of its first byte.
        boundary: Where its next record begins, in bytes from there: a record may begin in the middle of a segment.
    """

    start: int
    boundary: int = 0
    finished: bool = False

    def take(self, segment: Segment) -> int:
        """How many requests begin in that segment; what is sent again lies before the boundary, and counts nothing."""
        found = 0
        begin = (segment.sequence - self.start) % 2**32
        while begin <= self.boundary <= begin + len(segment.payload) - _HEADER:
            header = segment.payload[self.boundary - begin :][:_HEADER]
            length = int.from_bytes(header[3:], "big")
            if header[0] == _APPLICATION_DATA and length > _ALERT:
                found += self.finished
                self.finished = True
            self.boundary += _HEADER + length
        return found


def requests(file: Path) -> Iterator[Arrival]:
    """
    One a request. Its path is the number of its connection, counted among those that have sent one: what was opened and not
    used has none, and a second request on a connection has the same as the first.
    """
    connections: dict[int, _Connection] = {}
    numbers: dict[int, int] = {}
    for segment in segments(file):
        if segment.is_syn:
            connections[segment.client] = _Connection(segment.sequence + 1)
        elif segment.payload and segment.client in connections:
            for _ in range(connections[segment.client].take(segment)):
                yield Arrival(segment.at_ns, str(numbers.setdefault(segment.client, len(numbers))))
