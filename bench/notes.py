"""Notes of a hundred Python functions about their own start, and the jobs that call them."""

import contextlib
import mmap
import struct
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.arrivals import Arrival
from bench.machine import ROOT

#: As in `peers/noting.py`, which is not imported here because it opens its notes at once.
_NOTE = struct.Struct("=qq")
_PEERS = ROOT / "bench" / "peers"


class Notes:
    """
    Memory that the noting processes share with the bench, in a folder of its own.

    Attributes:
        environment: Environment variables that the noting process needs.
    """

    def __init__(self, folder: Path, n: int) -> None:
        self._file = folder / "notes"
        self._file.write_bytes(bytes(_NOTE.size * n))
        self._env_file = folder / "noting.env"
        self.environment = {"BENCH_NOTES": str(self._file)}
        self._env_file.write_text("".join(f"{name}={value}\n" for name, value in self.environment.items()))

    def app(self) -> Mapping[str, Any]:
        """The application, for `apps:` of a jobs file."""
        return {"noting": {"app": "noting:app", "directory": str(_PEERS), "env_file": str(self._env_file)}}

    def arrivals(self) -> Iterator[Arrival]:
        """
        Return job i as the path i. A job that started twice has two arrivals, both with the time of the
        first.
        """
        with self._file.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
            notes = list(_NOTE.iter_unpack(memory[:]))
        for index, (at_ns, times) in enumerate(notes):
            yield from [Arrival(at_ns, str(index))] * times


def calls(n: int, schedule: Mapping[str, object], **call: object) -> dict[str, Any]:
    """Return `jobs:` of a jobs file. Job i notes i. `call` has more keys of its `call:`."""
    return {
        f"call_{index}": {
            "schedule": dict(schedule),
            "call": {"ref": "noting:note", "args": [index], "app": "noting", **call},
        }
        for index in range(n)
    }


@contextlib.contextmanager
def notes(n: int) -> Iterator[Notes]:
    """Provide notes for n functions, and delete them afterwards."""
    with tempfile.TemporaryDirectory(prefix="tminus-bench-") as folder:
        yield Notes(Path(folder), n)
