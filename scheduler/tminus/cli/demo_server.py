"""
The target server of the demo and of the shipped jobs.yaml: it responds to each request after a delay, to a
thousand at once.
"""

import argparse
import asyncio
import contextlib
import json
import sys

_BODY = json.dumps({"ok": True}).encode()
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
    + str(len(_BODY)).encode()
    + b"\r\n\r\n"
)


def main() -> None:
    """Call `serve` with the options of `python -m tminus.cli.demo_server --port 8099 --delay 0.1`."""
    parser = argparse.ArgumentParser(description="a target server")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.1, help="seconds before each response")
    options = parser.parse_args()
    try:
        serve(options.port, options.delay)
    except OSError as error:
        sys.exit(f"error: cannot listen on port {options.port}: {error.strerror or error}")


def serve(port: int, delay_s: float) -> None:
    """
    Print the address, and serve until this process is ended or interrupted.

    Raises:
        OSError: the port is taken.
    """
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(port, delay_s))


async def _serve(port: int, delay_s: float) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(_body_length(head))
                await asyncio.sleep(delay_s)
                writer.write(_HEAD + _BODY)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            pass  # the other end has gone, or does not speak HTTP
        finally:
            writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", port, backlog=4096)
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
