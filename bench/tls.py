"""
Requests inside TLS 1.3, seen from outside: the time at which the record of a request was sent.

A client's records of type `application data` are its Finished message, then its requests, then a short alert
at the close. Source: RFC 8446, 5.2 (every encrypted record has the type application data).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.arrivals import Arrival
from bench.pcap import Segment, segments

_APPLICATION_DATA = 23
_HEADER = 5
#: An alert has 2 bytes, its type 1, its tag 16. A request is longer.
_ALERT = 19


@dataclass(slots=True)
class _Connection:
    """
    The client's half of a connection.

    Attributes:
        start: Sequence number of the first byte.
        boundary: Beginning of the next record, in bytes from `start`. It may be in the middle of a segment.
    """

    start: int
    boundary: int = 0
    finished: bool = False

    def take(self, segment: Segment) -> int:
        """
        Return how many requests begin in this segment. Retransmitted bytes are before the boundary and do not
        count.
        """
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
    Yield one arrival per request. Its path is the number of its connection among those that sent a request. A
    second request on a connection has the same path as the first.
    """
    connections: dict[int, _Connection] = {}
    numbers: dict[int, int] = {}
    for segment in segments(file):
        if segment.is_syn:
            connections[segment.client] = _Connection(segment.sequence + 1)
        elif segment.payload and segment.client in connections:
            for _ in range(connections[segment.client].take(segment)):
                yield Arrival(segment.at_ns, str(numbers.setdefault(segment.client, len(numbers))))
