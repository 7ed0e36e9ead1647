"""
The witnesses of a fault round: an HTTP server that records each request, and the notes of functions.

`python -m bench.torture.witness FILE` runs the server and prints its port. The query selects the response:
after `wait` seconds, with `status`.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bench.machine import ROOT
from bench.waiting import eventually


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """
    One request that arrived, or one function that started.

    Attributes:
        at_ns: Wall clock, nanoseconds.
        what: `http`, `call`, `link` or `background`.
        part: Part of the occurrence that may arrive once: path and attempt, or the name of a link.
        cause: The occurrence that started this one, by `X-Tminus-Cause`.
    """

    at_ns: int
    what: str
    occurrence: str
    part: str = ""
    cause: str = ""


class Witness:
    """The server, in a process of its own, during a `with` block."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "arrivals"
        self._notes = folder / "notes"
        self._said = folder / "witness"

    def __enter__(self) -> "Witness":
        command = [sys.executable, "-m", "bench.torture.witness", str(self._file)]
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=said)
        port = eventually(lambda: self._said.read_text().strip(), timeout_s=20)
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        """The pid of the server."""
        return self._process.pid

    def arrivals(self) -> list[Arrival]:
        """Return all arrivals so far."""
        found = [
            Arrival(
                at_ns=each["at_ns"],
                what="http",
                occurrence=each["occurrence"],
                part=f"attempt {each['attempt']} {each['path']}",
                cause=each["cause"],
            )
            for each in facts(self._file)
        ]
        return found + [
            Arrival(
                at_ns=each["at_ns"],
                what=each["what"],
                occurrence=each["occurrence"],
                part=each.get("link", ""),
            )
            for each in facts(self._notes)
        ]


def facts(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON lines of a file. The last one may be incomplete, because its writer was killed."""
    if file.exists():
        for line in file.read_bytes().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue


class _Connection(asyncio.Protocol):
    def __init__(self, file: int) -> None:
        self._file = file
        self._received = b""
        self._body_left = 0
        self._came_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._received:
            self._came_ns = time.time_ns()
        self._received += data
        while True:
            skipped = min(self._body_left, len(self._received))
            self._received, self._body_left = self._received[skipped:], self._body_left - skipped
            head, end, rest = self._received.partition(b"\r\n\r\n")
            if not end:
                return
            self._received = rest
            self._request(head.decode("latin-1"))

    def _request(self, head: str) -> None:
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._body_left = int(headers.get("content-length", 0))
        address = urlsplit(first.split(" ")[1])
        self._write(address.path, headers)
        wanted = {name: values[0] for name, values in parse_qs(address.query).items()}
        answer = (
            f"HTTP/1.1 {wanted.get('status', '200')} Made To Order\r\nContent-Length: 2\r\n\r\nok".encode()
        )
        asyncio.get_running_loop().call_later(float(wanted.get("wait", 0)), self._answer, answer)

    def _write(self, path: str, headers: Mapping[str, str]) -> None:
        named = {name: headers.get(f"x-tminus-{name}", "") for name in ("occurrence", "attempt", "cause")}
        os.write(self._file, json.dumps({"at_ns": self._came_ns, "path": path, **named}).encode() + b"\n")

    def _answer(self, answer: bytes) -> None:
        if isinstance(self._transport, asyncio.WriteTransport) and not self._transport.is_closing():
            self._transport.write(answer)


async def _serve(file: Path) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(descriptor), "127.0.0.1", 0, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
