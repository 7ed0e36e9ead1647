"""What the bench reads: packets, TLS records, a server's log."""

import struct
from collections.abc import Iterable
from pathlib import Path

import pytest

from bench import pcap, tls
from bench.arrivals import Arrival, read_log

T_NS = 1_795_000_000_123_456_789
SYN, ACK = 0x02, 0x10


def _packet(payload: bytes, *, client: int = 40_000, sequence: int = 1, flags: int = ACK) -> bytes:
    """An IPv4 packet; with an option in each header, since their lengths vary."""
    tcp = struct.pack(">HHIIBBHHHI", client, 80, sequence, 0, 6 << 4, flags, 0, 0, 0, 0)
    ip = struct.pack(
        ">BBHHHBBH4s4sI",
        0x46,
        0,
        24 + len(tcp) + len(payload),
        0,
        0,
        64,
        6,
        0,
        b"\x7f\0\0\1",
        b"\x7f\0\0\1",
        0,
    )
    return ip + tcp + payload


def _write(
    file: Path, packets: Iterable[bytes], *, order: str = "<", magic: int = 0xA1B23C4D, link: int = 12
) -> Path:
    """A capture of packets that are 1 µs apart."""
    before = b"\0" * {1: 14, 113: 16, 276: 20, 12: 0}[link]
    unit = 1 if magic == 0xA1B23C4D else 1000
    data = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for index, packet in enumerate(packets):
        at_ns = T_NS + index * 1000
        size = len(before + packet)
        data += (
            struct.pack(order + "IIII", at_ns // 10**9, at_ns % 10**9 // unit, size, size) + before + packet
        )
    file.write_bytes(data)
    return file


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("link", [1, 12, 113, 276], ids=["ethernet", "raw", "cooked-1", "cooked-2"])
def test_a_request_is_a_segment_that_begins_with_a_method(order: str, link: int, tmp_path: Path) -> None:
    request = b"GET /job/7 HTTP/1.1\r\nHost: a\r\nX-Tminus-Occurrence: job_7@2026-11-20T11:30:00Z\r\n\r\n"
    file = _write(
        tmp_path / "packets",
        [_packet(b""), _packet(request), _packet(b"more of a body")],
        order=order,
        link=link,
    )
    assert list(pcap.requests(file)) == [Arrival(T_NS + 1000, "/job/7", "job_7@2026-11-20T11:30:00Z")]


def test_a_request_that_tcp_sends_again_counts_once(tmp_path: Path) -> None:
    first, again, second = (
        _packet(b"GET /job/7 HTTP/1.1\r\n\r\n", sequence=sequence) for sequence in (1, 1, 27)
    )
    assert [
        one.at_ns - T_NS for one in pcap.requests(_write(tmp_path / "packets", [first, again, second]))
    ] == [0, 2000]


def test_stamps_in_microseconds_are_read_as_such(tmp_path: Path) -> None:
    file = _write(tmp_path / "packets", [_packet(b"POST / HTTP/1.1\r\n\r\n")], magic=0xA1B2C3D4)
    assert list(pcap.requests(file)) == [Arrival(T_NS // 1000 * 1000, "/")]


def test_what_fills_a_short_ethernet_frame_is_no_payload(tmp_path: Path) -> None:
    file = _write(tmp_path / "packets", [_packet(b"") + b"GET /"], link=1)
    assert [segment.payload for segment in pcap.segments(file)] == [b""]


def _record(kind: int, length: int) -> bytes:
    return bytes([kind, 3, 3]) + length.to_bytes(2, "big") + b"x" * length


HELLO, CHANGE, FINISHED, REQUEST, ALERT = (
    _record(22, 300),
    _record(20, 1),
    _record(23, 53),
    _record(23, 120),
    _record(23, 19),
)


def _connection(client: int, *payloads: bytes) -> list[bytes]:
    packets, sequence = [_packet(b"", client=client, sequence=99, flags=SYN)], 100
    for payload in payloads:
        packets.append(_packet(payload, client=client, sequence=sequence))
        sequence += len(payload)
    return packets


def test_a_request_in_tls_is_the_first_application_data_after_the_handshake(tmp_path: Path) -> None:
    file = _write(tmp_path / "packets", _connection(40_000, HELLO, CHANGE + FINISHED, REQUEST, ALERT))
    assert list(tls.requests(file)) == [Arrival(T_NS + 3000, "0")]


def test_a_request_that_shares_a_segment_with_the_handshake_counts(tmp_path: Path) -> None:
    file = _write(tmp_path / "packets", _connection(40_000, HELLO, CHANGE + FINISHED + REQUEST))
    assert list(tls.requests(file)) == [Arrival(T_NS + 2000, "0")]


def test_what_is_sent_again_counts_once(tmp_path: Path) -> None:
    packets = _connection(40_000, HELLO, CHANGE + FINISHED, REQUEST)
    file = _write(tmp_path / "packets", [*packets, packets[-1]])
    assert list(tls.requests(file)) == [Arrival(T_NS + 3000, "0")]


def test_connections_are_numbered_by_their_first_request_and_unused_ones_not_at_all(tmp_path: Path) -> None:
    unused = _connection(40_000, HELLO, CHANGE + FINISHED)
    twice = _connection(40_001, HELLO, CHANGE + FINISHED, REQUEST, REQUEST)
    once = _connection(40_002, HELLO, CHANGE + FINISHED, REQUEST)
    file = _write(tmp_path / "packets", [*unused, *twice, *once])
    assert [arrival.path for arrival in tls.requests(file)] == ["0", "0", "1"]


def test_a_log_tells_when_the_first_byte_was_read(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    file.write_text(
        "earlier\n1795000000.250 5.127 GET /slow/3 200 job_3@2026-11-20T11:30:00Z\n1795000001.000 0.000 GET / 200 -\n"
    )
    assert list(read_log(file, offset=8)) == [
        Arrival(1_794_999_995_123_000_000, "/slow/3", "job_3@2026-11-20T11:30:00Z"),
        Arrival(1_795_000_001_000_000_000, "/"),
    ]
