"""
The target if nginx is not installed: one process that responds at once (`/slow/` late) and logs each request.

`python -m bench.own_server PORT LOG SLOW_S HOST...`. Lines are like those of nginx, with microseconds.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import TextIO

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_FLUSH_S = 0.2


class Connection(asyncio.Protocol):
    """A client's connection: requests without a body, one after another."""

    def __init__(self, log: TextIO, slow_s: float) -> None:
        self._log = log
        self._slow_s = slow_s
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        came_ns = time.time_ns()
        self._heard += data
        while b"\r\n\r\n" in self._heard:
            head, _, self._heard = self._heard.partition(b"\r\n\r\n")
            self._answer(head.decode("latin-1"), came_ns)

    def _answer(self, head: str, came_ns: int) -> None:
        first, *lines = head.split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        occurrence = headers.get("x-tminus-occurrence", "-")
        self._log.write(
            f"{came_ns // 10**9}.{came_ns % 10**9 // 1000:06} 0.000 {method} {path} 200 {occurrence}\n"
        )
        if path.startswith("/slow/"):
            asyncio.get_running_loop().call_later(self._slow_s, self._say)
        else:
            self._say()

    def _say(self) -> None:
        if isinstance(self._transport, asyncio.WriteTransport) and not self._transport.is_closing():
            self._transport.write(_ANSWER)


async def serve(port: int, log: TextIO, slow_s: float, hosts: Sequence[str]) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Connection(log, slow_s), hosts, port, backlog=65535)
    while True:
        await asyncio.sleep(_FLUSH_S)
        log.flush()


if __name__ == "__main__":
    with open(sys.argv[2], "a", encoding="utf-8") as file:
        asyncio.run(serve(int(sys.argv[1]), file, float(sys.argv[3]), sys.argv[4:]))
