"""Requests as a witness saw them, and the server's log as one such witness."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Arrival:
    """
    One request.

    Attributes:
        at_ns: Wall clock. From a capture: when its first packet was sent. From a log: when its first byte was read.
        path: Empty where nobody can read it (TLS on the wire).
        occurrence: What `X-Tminus-Occurrence` says; empty where there is none.
    """

    at_ns: int
    path: str
    occurrence: str = ""


def read_log(file: Path, offset: int = 0) -> Iterator[Arrival]:
    """
    The requests in a server's log, from that byte on. nginx has steps of 1 ms, and looks at its clock once a round of
    its loop.
    """
    with file.open("rb") as lines:
        lines.seek(offset)
        for line in lines:
            words = line.decode("latin-1").split()
            if len(words) == 6:
                ended, took, _, path, _, occurrence = words
                yield Arrival(_nanoseconds(ended) - _nanoseconds(took), path, "" if occurrence == "-" else occurrence)


def _nanoseconds(seconds: str) -> int:
    """Without a float: the epoch has too many digits for one."""
    whole, _, part = seconds.partition(".")
    return int(whole) * 10**9 + int(part.ljust(9, "0"))
