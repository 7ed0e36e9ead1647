"""Requests as a witness saw them; the server's log as a witness."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Arrival:
    """
    One request.

    Attributes:
        at_ns: Wall clock, nanoseconds. From a capture: when the first packet was sent. From a log: when the
            first byte was read.
        path: Empty if it is not readable (TLS on the wire).
        occurrence: The header `X-Tminus-Occurrence`; empty if it is missing.
    """

    at_ns: int
    path: str
    occurrence: str = ""


def read_log(file: Path, offset: int = 0) -> Iterator[Arrival]:
    """
    Return the requests in a server's log, from this byte on. nginx logs in steps of 1 ms, and reads its clock
    once per iteration of its loop.
    """
    with file.open("rb") as lines:
        lines.seek(offset)
        for line in lines:
            words = line.decode("latin-1").split()
            if len(words) == 6:
                ended, took, _, path, _, occurrence = words
                yield Arrival(
                    _nanoseconds(ended) - _nanoseconds(took), path, "" if occurrence == "-" else occurrence
                )


def _nanoseconds(seconds: str) -> int:
    """Convert without a float, which has too few digits for nanoseconds since 1970."""
    whole, _, part = seconds.partition(".")
    return int(whole) * 10**9 + int(part.ljust(9, "0"))
