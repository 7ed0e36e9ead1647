"""A target server for the demo and the shipped jobs.yaml: answers every request after a while, a thousand at once."""

import argparse
import asyncio
import contextlib
import json
import sys

_ANSWER = json.dumps({"ok": True}).encode()
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + str(len(_ANSWER)).encode() + b"\r\n\r\n"


def main() -> None:
    """`python -m scheduler.cli.target --port 8099 --delay 0.1`; prints its address, and serves until it is ended."""
    parser = argparse.ArgumentParser(description="a server to aim at")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.1, help="seconds before each answer")
    options = parser.parse_args()
    try:
        serve(options.port, options.delay)
    except OSError as error:
        sys.exit(f"error: cannot listen on port {options.port}: {error.strerror or error}")


def serve(port: int, delay_s: float) -> None:
    """
    Serve until this process is ended or interrupted; prints the address.

    Raises:
        OSError: the port is taken.
    """
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(port, delay_s))


async def _serve(port: int, delay_s: float) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(_body_length(head))
                await asyncio.sleep(delay_s)
                writer.write(_HEAD + _ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            pass  # the other end has gone, or does not speak HTTP
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=4096)
    print("http://{}:{}".format(*server.sockets[0].getsockname()[:2]), flush=True)
    async with server:
        await server.serve_forever()


def _body_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


if __name__ == "__main__":
    main()
